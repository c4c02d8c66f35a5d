//! The assistant at the guest door.

use reqwest::{Method, StatusCode};
use roost::config::ProviderName;
use serde_json::{Value, json};

use crate::support::app::{TestApp, answer};

const ASK: &str = "/api/v1/chatbot";

#[tokio::test]
async fn a_question_opens_a_session_and_further_ones_go_on_with_it() {
    let app = TestApp::start().await;
    let (status, first) = app.post(ASK, json!({"message": "When do you open?"})).await;
    assert_eq!(status, StatusCode::OK, "{first}");
    let data = &first["data"];
    assert_eq!(
        data.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["entities", "locale", "message", "session_key", "user_id"]
    );
    assert_eq!(
        (&data["message"], &data["user_id"], &data["locale"]),
        (&json!("Echo: When do you open?"), &Value::Null, &json!("en"))
    );
    let key = data["session_key"].as_str().unwrap();
    let by_header =
        app.request(Method::POST, ASK).header("x-chat-session", key).json(&json!({"message": "And close?"}));
    assert_eq!(answer(by_header).await.1["data"]["session_key"], json!(key));
    let (_, third) = app.post(ASK, json!({"message": "Thanks", "session_key": key})).await;
    assert_eq!(third["data"]["session_key"], json!(key));
    let by_query = app.get(&format!("/api/v1/chatbot/history?session_key={key}")).await;
    let by_header = answer(app.request(Method::GET, "/api/v1/chatbot/history").header("x-chat-session", key)).await;
    assert_eq!(by_query.1["data"], by_header.1["data"]);
    let texts: Vec<_> =
        by_query.1["data"]["messages"].as_array().unwrap().iter().map(|m| m["message"].clone()).collect();
    assert_eq!(
        texts,
        ["When do you open?", "Echo: When do you open?", "And close?", "Echo: And close?", "Thanks", "Echo: Thanks"]
    );
}

#[tokio::test]
async fn a_history_that_is_not_there_is_empty() {
    let app = TestApp::start().await;
    for path in [
        "/api/v1/chatbot/history",
        "/api/v1/chatbot/history?session_key=nobody",
        "/api/v1/chatbot/history?session_key=",
    ] {
        let (status, none) = app.get(path).await;
        assert_eq!((status, &none["data"]), (StatusCode::OK, &json!({"messages": []})), "{path}");
    }
}

#[tokio::test]
async fn it_speaks_the_language_that_was_asked_for() {
    let app = TestApp::start().await;
    for (header, query, locale, text) in [
        ("vi", "", "vi", "Chatbot đã trả lời"),
        ("ja, en;q=0.5", "", "ja", "Chatbot response generated"),
        ("", "?locale=zh", "zh", "Chatbot response generated"),
        ("fr", "", "en", "Chatbot response generated"),
    ] {
        let request = app.request(Method::POST, &format!("{ASK}{query}")).header("accept-language", header);
        let (_, body) = answer(request.json(&json!({"message": "Xin chào"}))).await;
        assert_eq!((&body["data"]["locale"], &body["message"]), (&json!(locale), &json!(text)), "{header} {query}");
    }
}

#[tokio::test]
async fn who_is_signed_in_is_named_and_a_bad_token_is_refused() {
    let app = TestApp::start().await;
    let mai = app.staff("Mai").await;
    let (status, body) = mai.post(ASK, json!({"message": "Hello"})).await;
    assert_eq!((status, &body["data"]["user_id"]), (StatusCode::OK, &json!(mai.id)));
    let forged = app.request(Method::POST, ASK).bearer_auth("1|forged").json(&json!({"message": "Hello"}));
    assert_eq!(answer(forged).await.0, StatusCode::UNAUTHORIZED);
    let forged = app.request(Method::GET, "/api/v1/chatbot/history").bearer_auth("1|forged");
    assert_eq!(answer(forged).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_key_that_is_no_key_is_refused_wherever_it_stands() {
    let app = TestApp::start().await;
    let long = "k".repeat(192);
    for hostile in [long.as_bytes(), b"caf\xe9"] {
        let request = app.request(Method::POST, ASK).header("x-chat-session", hostile);
        let (status, refused) = answer(request.json(&json!({"message": "a"}))).await;
        assert_eq!(
            (status, &refused["error"]["code"]),
            (StatusCode::BAD_REQUEST, &json!("VALIDATION_FAILED")),
            "{hostile:?}"
        );
        assert_eq!(refused["error"]["details"].as_object().unwrap().keys().collect::<Vec<_>>(), ["X-Chat-Session"]);
    }
}

#[tokio::test]
async fn a_closed_session_still_belongs_to_the_person_who_had_it() {
    let app = TestApp::start().await;
    let (guest, mai) = (app.guest().await, app.staff("Mai").await);
    mai.post(&format!("/api/v1/chat/admin/{}/assign", guest.key), json!({})).await;
    mai.post(&format!("/api/v1/chat/sessions/{}/close", guest.id), json!({})).await;
    let (status, body) = app.post(ASK, json!({"message": "Still there?", "session_key": guest.key})).await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::FORBIDDEN, &json!("FORBIDDEN")), "{body}");
    guest.says("Still there?").await;
    assert_eq!(guest.session().await["is_active"], true);
}

#[tokio::test]
async fn without_an_assistant_it_says_so_and_stores_nothing() {
    let app = TestApp::with(|config| config.assistant.provider = ProviderName::None).await;
    let (guest, mai) = (app.guest().await, app.staff("Mai").await);
    for body in [json!({"message": "a"}), json!({"message": "a", "session_key": guest.key})] {
        let (status, refused) = app.post(ASK, body).await;
        assert_eq!((status, &refused["error"]["code"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!("CHATBOT_ERROR")));
        assert_eq!(refused["message"], "No assistant is configured here");
    }
    assert!(guest.polls(0).await.is_empty());
    let (_, all) = mai.get("/api/v1/chat/admin/sessions?filter=all").await;
    assert_eq!(all["data"].as_array().map(Vec::len), Some(1), "no session was opened for nothing");
}

#[tokio::test]
async fn the_assistant_is_silent_where_a_person_has_the_chat() {
    let app = TestApp::start().await;
    let (guest, mai) = (app.guest().await, app.staff("Mai").await);
    let ask = |key: &str| {
        let body = json!({"message": "hello", "session_key": guest.key});
        answer(app.request(reqwest::Method::POST, ASK).header("idempotency-key", key).json(&body))
    };
    let (_, first) = ask("early").await;
    mai.post(&format!("/api/v1/chat/admin/{}/assign", guest.key), json!({})).await;
    let before = guest.polls(0).await;
    let (status, body) = ask("late").await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::FORBIDDEN, &json!("FORBIDDEN")));
    assert_eq!(guest.polls(0).await, before, "nothing was stored, so nothing is lost by sending it to the person");
    assert_eq!(ask("early").await.1["data"], first["data"], "what was asked before is known all the same");
}
