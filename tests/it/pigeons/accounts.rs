//! Signing in and out at the Pigeons door, beside the other door on the same paths.

use reqwest::{Method, StatusCode};
use roost::domain::Platform;
use serde_json::{Value, json};

use crate::chats::keys;
use crate::support::app::{TestApp, answer, whole_answer};
use crate::support::pigeon::PASSWORD;

fn registration(name: &str) -> Value {
    json!({
        "device": "Ana's telephone", "name": name, "email": format!("{name}@new.test"), "password": PASSWORD,
        "password_confirmation": PASSWORD,
    })
}

fn request(app: &TestApp, platform: &Platform, method: Method, path: &str) -> reqwest::RequestBuilder {
    app.request(method, path).header("x-public-key", platform.key.to_string())
}

#[tokio::test]
async fn a_user_signs_in_with_http_basic() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let mai = app.pigeon_of_staff(&acme, "Mai").await;
    let sign_in = || request(&app, &acme, Method::POST, "/api/v1/auth").basic_auth("Mai@Pigeons.test", Some(PASSWORD));
    let text = sign_in().json(&json!({"device": "web"})).send().await.unwrap().text().await.unwrap();
    assert_eq!(keys(&text), ["message", "token", "data"]);
    let told: Value = serde_json::from_str(&text).unwrap();
    let platform = json!({"uuid": acme.key, "name": "Acme", "public_key": acme.key});
    let permissions = json!([{"subject": "backoffice", "action": "all"}]);
    let role = json!({"id": 0, "platform": platform, "name": "backoffice", "localized_name": "Back office", "permissions": permissions});
    let user = json!({
        "uuid": mai.uuid(), "echo_uuid": mai.uuid(), "name": "Mai", "email": "mai@pigeons.test", "phone": null, "avatar": null,
        "language": null, "currency": null, "roles": [role],
    });
    assert_eq!((&told["message"], &told["data"]["user"]), (&json!("Login successful"), &user));
    let token = told["token"].as_str().unwrap();
    assert!(token.split_once('|').is_some_and(|(number, secret)| number.parse::<u64>().is_ok() && secret.len() >= 40));
    let mine = |path: &str| request(&app, &acme, Method::GET, path).bearer_auth(token);
    assert_eq!(answer(mine("/api/v1/me/profile")).await, (StatusCode::OK, json!({"data": user})));
    assert_eq!(answer(mine("/api/v1/auth/keep-alive")).await.1, json!({"success": true, "message": "Token is valid"}));
    // The body may be left out, and the token too.
    assert!(answer(sign_in()).await.1["token"].is_string());
    let (status, told) = answer(sign_in().json(&json!({"no_auth": true}))).await;
    assert_eq!((status, &told["token"]), (StatusCode::OK, &Value::Null));
    let out = request(&app, &acme, Method::POST, "/api/v1/auth/logout").bearer_auth(token);
    assert_eq!(answer(out).await, (StatusCode::OK, json!({"success": true, "message": "Logged out successfully"})));
    assert_eq!(
        answer(mine("/api/v1/auth/keep-alive")).await,
        (StatusCode::UNAUTHORIZED, json!({"message": "Unauthenticated."}))
    );
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_read_the_same() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    app.pigeon(&acme, "Ana").await;
    let wrong = (StatusCode::UNAUTHORIZED, json!({"message": "Unauthenticated."}));
    let sign_in = || request(&app, &acme, Method::POST, "/api/v1/auth");
    for (name, password) in
        [("ana@pigeons.test", "wrong"), ("nobody@pigeons.test", PASSWORD), ("ana", PASSWORD), ("", "")]
    {
        let (status, headers, told) = whole_answer(sign_in().basic_auth(name, Some(password))).await;
        assert_eq!((status, told), wrong, "{name}");
        assert!(headers["www-authenticate"].to_str().unwrap().starts_with("Basic"));
    }
    for header in ["", "Basic", "Basic x", "Basic !!", "Bearer x", "Basic YQ=="] {
        assert_eq!(answer(sign_in().header("authorization", header)).await, wrong, "{header}");
    }
    assert_eq!(answer(sign_in()).await, wrong);
    let keyless = app.request(Method::POST, "/api/v1/auth").basic_auth("ana@pigeons.test", Some(PASSWORD));
    assert_eq!(answer(keyless).await, wrong);
}

#[tokio::test]
async fn somebody_registers_and_writes_at_once() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let register = || request(&app, &acme, Method::POST, "/api/v1/auth/register");
    let (status, told) = answer(register().json(&registration("ana")).header("accept-language", "pt-BR")).await;
    assert_eq!((status, &told["message"]), (StatusCode::OK, &json!("Cadastro realizado com sucesso")), "{told}");
    assert_eq!((&told["recently_created"], &told["data"]["user"]["roles"]), (&json!(true), &json!([])));
    let token = told["token"].as_str().unwrap();
    let inbox = request(&app, &acme, Method::GET, "/api/v1/pigeons/chat/conversations").bearer_auth(token);
    assert_eq!(answer(inbox).await, (StatusCode::OK, json!({"data": []})));
    // Wrong fields are 400 here.
    let (status, told) = answer(register().json(&registration("ana"))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let errors = json!({"email": ["The email has already been taken."]});
    assert_eq!(told, json!({"message": "The given data was invalid.", "errors": errors}));
}

#[tokio::test]
async fn the_key_tells_two_dialects_on_one_path() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let key = acme.key;
    // Without a key it is the guest door's envelope and account.
    let (status, told) = app.post("/api/v1/auth/register", registration("ana")).await;
    assert_eq!((status, &told["success"]), (StatusCode::CREATED, &json!(true)), "{told}");
    let (status, told) = app.post(&format!("/api/v1/auth/register?pbk={key}"), registration("ana")).await;
    assert_eq!((status, &told["recently_created"]), (StatusCode::OK, &json!(true)), "{told}");
    let token = told["token"].as_str().unwrap().to_owned();
    let (status, told) = app.post("/api/v1/auth/register?pbk=nonsense", registration("eva")).await;
    assert_eq!((status, told), (StatusCode::FORBIDDEN, json!({"message": "Unauthorized"})));
    let (status, told) = app.post("/api/v1/auth/logout", json!({})).await;
    assert_eq!((status, &told["error"]["code"]), (StatusCode::UNAUTHORIZED, &json!("UNAUTHORIZED")));
    let out = app.request(Method::POST, "/api/v1/auth/logout").bearer_auth(&token);
    let (status, told) = answer(out.header("x-public-key", key.to_string())).await;
    assert_eq!((status, &told["success"], told.as_object().unwrap().len()), (StatusCode::OK, &json!(true), 2));
}

#[tokio::test]
async fn a_user_edits_their_own_account() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let path = format!("/api/v1/pigeons/users/{}", ana.uuid());
    let edit =
        json!({"name": " Ana\nMaria ", "avatar": "https://example.com/ana.jpg", "phone": "+55 11", "language": "pt"});
    let (status, told) = ana.send(Method::PUT, &path, edit).await;
    assert_eq!((status, &told["message"]), (StatusCode::OK, &json!("User updated successfully")), "{told}");
    let data = &told["data"];
    assert_eq!(
        (&data["name"], &data["phone"], &data["language"]),
        (&json!("Ana Maria"), &json!("+55 11"), &json!("pt-BR"))
    );
    assert_eq!(data["avatar"], json!({"url": "https://example.com/ana.jpg", "usage": "avatar"}));
    ana.says(&conversation, &rui, "look").await;
    let sender = json!({"uuid": ana.uuid(), "name": "Ana Maria", "avatar": "https://example.com/ana.jpg"});
    assert_eq!(rui.lists(&conversation).await[0]["sender"], sender);
    // What is left out stays, null takes it away.
    let (_, told) = ana.send(Method::PUT, &path, json!({"avatar": null, "language": null})).await;
    let data = &told["data"];
    assert_eq!((&data["avatar"], &data["language"], &data["phone"]), (&Value::Null, &Value::Null, &json!("+55 11")));
}

#[tokio::test]
async fn staff_give_roles() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let (mai, ana) = (app.pigeon_of_staff(&acme, "Mai").await, app.pigeon(&acme, "Ana").await);
    for (role, status) in
        [("driver", "approved"), ("backoffice", "approved"), ("driver", "disapproved"), ("cook", "requested")]
    {
        let path = format!("/api/v1/pigeons/users/{}/roles/{role}", ana.uuid());
        let (code, told) = mai.send(Method::PUT, &path, json!({"status": status})).await;
        assert_eq!((code, &told["message"]), (StatusCode::OK, &json!("Role updated successfully")), "{told}");
        let data = &told["data"];
        assert_eq!(
            (&data["user_uuid"], &data["role"], &data["status"]),
            (&json!(ana.uuid()), &json!(role), &json!(status))
        );
    }
    let (_, told) = ana.get("/api/v1/me/profile").await;
    let roles = told["data"]["roles"].as_array().unwrap();
    let names: Vec<_> = roles.iter().map(|role| role["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["backoffice"], "only what was approved");
}

#[tokio::test]
async fn the_doors_health_wants_a_key_and_nobody_signed_in() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme Shop").await;
    let (status, told) = app.get(&format!("/api/v1/pigeons/health?pbk={}", acme.key)).await;
    assert_eq!(status, StatusCode::OK);
    let data = &told["data"];
    assert!(app.url.ends_with(data["domain"].as_str().unwrap()), "{told}");
    assert_eq!((&data["slug"], &data["status"]), (&json!("acme-shop"), &json!("ok")));
    assert!(data["checked_at"].as_str().unwrap().ends_with("+00:00"));
    assert_eq!(data["routes"], json!({"file": "pigeons", "exists": true, "last_modified": null}));
    assert_eq!(
        app.get("/api/v1/pigeons/health").await,
        (StatusCode::UNAUTHORIZED, json!({"message": "Unauthenticated."}))
    );
    let unknown = "/api/v1/pigeons/health?pbk=00000000-0000-4000-8000-000000000000";
    assert_eq!(app.get(unknown).await, (StatusCode::FORBIDDEN, json!({"message": "Unauthorized"})));
}
