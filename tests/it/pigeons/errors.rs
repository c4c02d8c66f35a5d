//! Every refusal, to the letter, and in three languages.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{TestApp, answer, whole_answer};
use crate::support::pigeon::BASE;

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

async fn assert_refused(request: RequestBuilder, status: u16, want: Value) {
    let (got, told) = answer(request).await;
    assert_eq!((got.as_u16(), told), (status, want));
}

#[tokio::test]
async fn who_calls_is_judged_before_what_is_asked() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let (ana, other) = (app.pigeon(&acme, "Ana").await, app.platform("Other").await);
    let unable = app.pigeon_who(&acme, "Una", false, &["assistant"]).await;
    let nowhere = app.staff("Mai").await;
    let path = format!("{BASE}/conversations");
    let unauthenticated = json!({"message": "Unauthenticated."});
    let unauthorized = json!({"message": "Unauthorized"});
    let key = acme.key.to_string();
    for (bearer, key, status) in [
        (None, None, 401),
        (None, Some(key.as_str()), 401),
        (Some("12|nothing"), Some(key.as_str()), 401),
        (Some("nothing"), Some(key.as_str()), 401),
        (Some(ana.token.as_str()), None, 401),
        (Some(ana.token.as_str()), Some(""), 401),
        (Some(ana.token.as_str()), Some("not-a-key"), 403),
        (Some(ana.token.as_str()), Some(NOBODY), 403),
        (Some(ana.token.as_str()), Some(&other.key.to_string()), 403),
        (Some(unable.token.as_str()), Some(key.as_str()), 403),
        (Some(nowhere.token.as_str()), Some(key.as_str()), 403),
    ] {
        // What is asked for is wrong, too, and that is not told.
        let mut request = app.request(Method::POST, &path).json(&json!({"participant_uuid": 1}));
        request = bearer.into_iter().fold(request, |request, token| request.bearer_auth(token));
        request = key.into_iter().fold(request, |request, key| request.header("x-public-key", key));
        let want = if status == 401 { &unauthenticated } else { &unauthorized };
        assert_refused(request, status, want.clone()).await;
    }
    let (_, headers, _) = whole_answer(app.request(Method::GET, &path)).await;
    assert_eq!(headers["www-authenticate"], "Bearer");
    // The key may come in the query.
    let request = app.request(Method::GET, &format!("{path}?pbk={key}")).bearer_auth(&ana.token);
    assert_refused(request, 200, json!({"data": []})).await;
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let none = |what: &str| json!({"message": format!("{what} not found")});
    for name in [NOBODY, "nonsense", "%00", "%ff", "..%2f.."] {
        for (method, path) in [
            (Method::GET, format!("conversations/{name}/messages")),
            (Method::POST, format!("conversations/{name}/read")),
            (Method::PATCH, format!("conversations/{name}")),
        ] {
            assert_refused(ana.request(method, &path), 404, none("Conversation")).await;
        }
    }
    for name in ["msg_999999", "msg_", "msg_x", "999999", "msg_99999999999999999999", "msg_-1", "%00"] {
        for (method, path, body) in [
            (Method::PATCH, format!("messages/{name}/read"), json!({})),
            (Method::PATCH, format!("messages/{name}"), json!({"context_text": "x"})),
            (Method::DELETE, format!("messages/{name}"), json!({})),
            (Method::POST, format!("messages/{name}/reactions"), json!({"emoji": "x"})),
            (Method::DELETE, format!("messages/{name}/reactions/x"), json!({})),
        ] {
            assert_refused(ana.request(method, &path).json(&body), 404, none("Message")).await;
        }
    }
    let message = |conversation: &str, receiver: &str| {
        let mut body = ana.message(conversation, &rui, "x");
        body["receiver_uuid"] = json!(receiver);
        body
    };
    let unknown = ana.request(Method::POST, "messages").json(&message(NOBODY, &rui.uuid()));
    assert_refused(unknown, 404, none("Conversation")).await;
    for receiver in [NOBODY, &ana.uuid()] {
        let unknown = ana.request(Method::POST, "messages").json(&message(&conversation, receiver));
        assert_refused(unknown, 404, none("User")).await;
    }
    for path in [format!("/api/v1/pigeons/users/{NOBODY}"), "/api/v1/pigeons/users/me".to_owned()] {
        assert_refused(ana.request(Method::PUT, &path), 404, none("User")).await;
    }
    let somebody = format!("/api/v1/pigeons/users/{}", rui.uuid());
    assert_refused(ana.request(Method::PUT, &somebody), 403, json!({"message": "Unauthorized"})).await;
    let role = format!("{somebody}/roles/driver");
    let request = ana.request(Method::PUT, &role).json(&json!({"status": "approved"}));
    assert_refused(request, 403, json!({"message": "Unauthorized"})).await;
    assert_refused(ana.request(Method::GET, &format!("attachments/{NOBODY}")), 404, none("Attachment")).await;
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there_are_answered_in_the_envelope() {
    let app = TestApp::start().await;
    let key = app.platform("Acme").await.key.to_string();
    for path in
        ["/api/v1/pigeons", "/api/v1/pigeons/", "/api/v1/pigeons/chat/nothing", "/broadcasting", "/broadcasting/x"]
    {
        assert_refused(app.request(Method::GET, path), 404, json!({"message": "The route could not be found."})).await;
    }
    // What only begins alike is the other door's.
    assert_eq!(app.get("/api/v1/pigeonshole").await.1["error"]["code"], "NOT_FOUND");
    let refused = json!({"message": "The method is not supported for this route."});
    for (method, path) in [
        (Method::PUT, format!("{BASE}/conversations")),
        (Method::GET, format!("{BASE}/messages")),
        (Method::GET, "/broadcasting/auth".to_owned()),
        (Method::GET, "/api/v1/auth".to_owned()),
        (Method::GET, format!("/api/v1/auth/register?pbk={key}")),
    ] {
        assert_refused(app.request(method, &path), 405, refused.clone()).await;
    }
    assert_eq!(app.get("/api/v1/auth/register").await.1["error"]["code"], "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_explained() {
    let app = TestApp::with(|config| {
        config.http.body_bytes_max = 64 << 10;
        config.http.body_timeout_s = 1;
    })
    .await;
    let (ana, ..) = app.pair().await;
    let send = |kind: &str, body: &str| {
        ana.request(Method::POST, "messages").header("content-type", kind).body(body.to_owned())
    };
    let json = "application/json";
    let (status, told) = answer(send(json, "{")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(told["message"].as_str().unwrap().starts_with("The body is not valid JSON: "), "{told}");
    assert_refused(send(json, "[1]"), 400, json!({"message": "The body must be a JSON object."})).await;
    assert_refused(send(json, "\"x\""), 400, json!({"message": "The body must be a JSON object."})).await;
    let media = json!({"message": "Send JSON, with Content-Type: application/json, or a form."});
    assert_refused(send("text/plain", "x"), 415, media).await;
    assert_refused(
        send("text/plain", "x").header("accept-language", "es"),
        415,
        json!({"message": "Envíe JSON, con Content-Type: application/json, o un formulario."}),
    )
    .await;
    let large = "x".repeat(70 << 10);
    assert_refused(send(json, &large), 413, json!({"message": "The request body is too large."})).await;
    let file = json!({"message": "Send the file as multipart/form-data."});
    assert_refused(ana.request(Method::POST, "attachments").json(&json!({})), 415, file).await;
    let slow = reqwest::Body::wrap_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let request = ana.request(Method::POST, "messages").body(slow);
    assert_refused(request, 408, json!({"message": "The request body took too long."})).await;
}

#[tokio::test]
async fn refusals_are_told_in_three_languages() {
    let app = TestApp::start().await;
    let (ana, _, conversation) = app.pair().await;
    let eve = app.pigeon(&ana.platform, "Eve").await;
    let theirs = format!("conversations/{conversation}/messages");
    for (language, unauthenticated, unauthorized, conversation, message, route) in [
        (
            "pt-BR",
            "Não autenticado.",
            "Não autorizado",
            "Conversa não encontrada",
            "Mensagem não encontrada",
            "A rota não foi encontrada.",
        ),
        (
            "es",
            "No autenticado.",
            "No autorizado",
            "Conversación no encontrada",
            "Mensaje no encontrado",
            "No se encontró la ruta.",
        ),
    ] {
        let nobodys = app.request(Method::GET, &format!("{BASE}/conversations"));
        for (request, status, want) in [
            (nobodys, 401, unauthenticated),
            (eve.request(Method::GET, &theirs), 403, unauthorized),
            (ana.request(Method::GET, &format!("conversations/{NOBODY}/messages")), 404, conversation),
            (ana.request(Method::DELETE, "messages/msg_999"), 404, message),
            (ana.request(Method::GET, "nothing"), 404, route),
        ] {
            assert_refused(request.header("accept-language", language), status, json!({"message": want})).await;
        }
    }
}

#[tokio::test]
async fn an_account_has_its_own_limit() {
    let app = TestApp::with(|config| {
        config.limits.enabled = true;
        config.limits.pigeons_per_minute = 3;
        config.limits.address_per_minute = 2;
        config.limits.auth_per_minute = 2;
    })
    .await;
    let acme = app.platform("Acme").await;
    let (ana, rui) = (app.pigeon(&acme, "Ana").await, app.pigeon(&acme, "Rui").await);
    for left in ["2", "1", "0"] {
        let (status, headers, _) = whole_answer(ana.request(Method::GET, "conversations")).await;
        assert_eq!(
            (status, &headers["x-ratelimit-limit"], &headers["x-ratelimit-remaining"]),
            (StatusCode::OK, &"3".parse().unwrap(), &left.parse().unwrap())
        );
    }
    let (status, headers, told) = whole_answer(ana.request(Method::GET, "conversations")).await;
    assert_eq!((status, told), (StatusCode::TOO_MANY_REQUESTS, json!({"message": "Too Many Attempts."})));
    assert!(headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert!(headers.contains_key("x-ratelimit-reset"));
    assert_eq!(rui.get("conversations").await.0, StatusCode::OK, "another account has its own");
    // Who is nobody is counted by address, and so is who signs in.
    let key = acme.key.to_string();
    for (method, path) in
        [(Method::GET, format!("{BASE}/conversations")), (Method::POST, format!("/api/v1/auth?pbk={key}"))]
    {
        for want in [401, 401, 429] {
            assert_eq!(answer(app.request(method.clone(), &path)).await.0.as_u16(), want, "{path}");
        }
    }
}

#[tokio::test]
async fn a_full_store_refuses_and_can_be_read() {
    if crate::support::engine::is_other("a full store") {
        return;
    }
    let app = TestApp::with(|config| config.store.size_mib_max = 1).await;
    let (ana, rui, conversation) = app.pair().await;
    let mut body = ana.message(&conversation, &rui, &"x".repeat(5000));
    body["metadata"] = json!({"x": "x".repeat(30_000)});
    let mut stored = 0;
    let refused = loop {
        let (status, told) = ana.post("messages", body.clone()).await;
        if status != StatusCode::CREATED {
            break (status, told);
        }
        stored += 1;
        assert!(stored < 100, "the store is never full");
    };
    let want = json!({"message": "The server's storage is full. Nothing was stored; reading still works."});
    assert_eq!(refused, (StatusCode::INSUFFICIENT_STORAGE, want));
    assert_eq!(rui.lists(&conversation).await.len(), stored, "who lists need not be able to write");
}
