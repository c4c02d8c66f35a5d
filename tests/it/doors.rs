//! One account behind four doors: whoever has one signs in at each in its dialect, and what they are
//! allowed goes with them.

use reqwest::{Method, StatusCode};
use roost::domain::{Ability, Email};
use serde_json::json;

use crate::support::app::{TestApp, answer, whole_answer};

const PASSWORD: &str = "A g00d password";

#[tokio::test]
async fn a_member_of_staff_signs_in_at_every_door() {
    let app = TestApp::start().await;
    let chat = &app.app.chat;
    let platform = chat.add_platform("Acme").await.unwrap();
    let key = platform.key.to_string();
    let email = Email::parse("mai@example.test").unwrap();
    let password = Some(PASSWORD.to_owned());
    chat.add_user(Some(&platform), email, "Mai".to_owned(), password, true, vec![Ability::any()]).await.unwrap();
    let guest = app.guest().await;
    guest.says("hello?").await;

    // The guest door by JSON; its token is good at the Pigeons door with the platform's key.
    let login = json!({"email": "mai@example.test", "password": PASSWORD});
    let (status, signed) = app.post("/api/v1/auth/login", login.clone()).await;
    assert_eq!(status, StatusCode::OK, "{signed}");
    let token = signed["data"]["token"].as_str().unwrap();
    let take = app.request(Method::POST, &format!("/api/v1/chat/admin/{}/assign", guest.key)).bearer_auth(token);
    assert_eq!(answer(take).await.0, StatusCode::OK);
    let inbox = app.request(Method::GET, "/api/v1/pigeons/chat/conversations").bearer_auth(token);
    assert_eq!(answer(inbox.header("x-public-key", &key)).await.0, StatusCode::OK);

    // The Pigeons door by HTTP Basic; its token is good at the guest door.
    let basic = app.request(Method::POST, "/api/v1/auth").basic_auth("mai@example.test", Some(PASSWORD));
    let (status, signed) = answer(basic.header("x-public-key", &key).json(&json!({"device": "desk"}))).await;
    assert_eq!(status, StatusCode::OK, "{signed}");
    let mine = app.request(Method::GET, "/api/v1/chat/staff/sessions").bearer_auth(signed["token"].as_str().unwrap());
    let (status, sessions) = answer(mine).await;
    assert_eq!((status, &sessions["data"][0]["session_key"]), (StatusCode::OK, &json!(guest.key)), "{sessions}");

    // The Neptun door by JSON and by form; a session is no token and a token no session.
    for form in [false, true] {
        let request = app.request(Method::POST, "/api/auth/login");
        let request = if form { request.form(&login) } else { request.json(&login) };
        let (status, headers, body) = whole_answer(request).await;
        assert_eq!((status, &body["user"]["primary_email"]), (StatusCode::OK, &json!("mai@example.test")), "{body}");
        let cookie = headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let check = |cookie: String| app.request(Method::GET, "/api/auth/check").header("cookie", cookie);
        assert_eq!(answer(check(cookie.clone())).await.0, StatusCode::OK);
        assert_eq!(answer(check(format!("neptun-session={token}"))).await.0, StatusCode::UNAUTHORIZED);
        let sealed = cookie.trim_start_matches("neptun-session=");
        let me = app.request(Method::GET, "/api/v1/auth/me").bearer_auth(sealed);
        assert_eq!(answer(me).await.0, StatusCode::UNAUTHORIZED);
    }

    // Switched off, they are signed out of all of them.
    let user = chat.authenticate(token).await.unwrap().user;
    chat.set_active(user.id, false).await.unwrap();
    let me = app.request(Method::GET, "/api/v1/auth/me").bearer_auth(token);
    assert_eq!(answer(me).await.0, StatusCode::UNAUTHORIZED);
}

/// What enters by one door is in the one log that the operator reads, and in nobody else's.
#[tokio::test]
async fn what_enters_by_a_door_is_in_the_log_behind_it() {
    let app = TestApp::start().await;
    let (mai, guest) = (app.staff("Mai").await, app.guest().await);
    guest.says("by the guest").await;
    mai.post(&format!("/api/v1/chat/admin/{}/message", guest.key), json!({"message": "by staff"})).await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    lan.says(chat, "user", "by its owner").await;
    for (name, texts) in
        [(guest.key.clone(), vec!["by the guest", "by staff"]), (chat.to_string(), vec!["by its owner"])]
    {
        let found = app.app.chat.conversation_named(&name).await.unwrap().expect("a conversation of that name");
        let events = app.app.chat.log_page(found.id, roost::domain::EventId::START).await.unwrap();
        let said: Vec<_> = events
            .iter()
            .filter_map(|event| match &event.body {
                roost::domain::EventBody::MessageAdded(message) => Some(message.text.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(said, texts);
    }
}

/// It would come before theirs wherever no platform is named.
#[tokio::test]
async fn nobody_takes_an_address_from_a_platforms_user() {
    let app = TestApp::start().await;
    let chat = &app.app.chat;
    let platform = chat.add_platform("Acme").await.unwrap();
    let email = Email::parse("ana@example.test").unwrap();
    let password = Some(PASSWORD.to_owned());
    chat.add_user(Some(&platform), email, "Ana".to_owned(), password, false, vec![Ability::any()]).await.unwrap();
    let stranger = json!({"email": "ana@example.test", "password": "An0ther password"});
    assert_eq!(app.post("/api/auth/sign-up", stranger).await.0, StatusCode::CONFLICT);
    let body = json!({"name": "Evil", "email": "ana@example.test", "password": "An0ther password",
        "password_confirmation": "An0ther password"});
    assert_eq!(app.post("/api/v1/auth/register", body).await.0, StatusCode::BAD_REQUEST);
    let eve = app.member("Eve").await;
    let (status, body) = eve.send(Method::PATCH, &eve.path(""), json!({"email": "ana@example.test"})).await;
    assert_eq!(status, StatusCode::CONFLICT, "{body}");
    let hers = json!({"email": "ana@example.test", "password": PASSWORD});
    assert_eq!(app.post("/api/auth/login", hers).await.0, StatusCode::OK);
}
