//! The binding example: the answer to a message, key by key, in order.

use reqwest::{Method, StatusCode};
use roost::chat::AccountEdit;
use serde_json::{Value, json};

use crate::support::app::TestApp;

#[tokio::test]
async fn a_message_is_answered_as_the_seed_says_to_the_byte() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let access = app.app.chat.authenticate(&rui.token).await.unwrap();
    let avatar = Some(Some("https://example.com/avatars/rui.jpg".to_owned()));
    app.app.chat.edit_account(&access, AccountEdit { avatar, ..AccountEdit::default() }).await.unwrap();
    let sent = json!({
        "conversation_uuid": conversation, "receiver_uuid": rui.uuid(), "context_text": "Hello, how are you?",
        "context_type": "text", "attachments": [], "metadata": {},
        "device": {"os": "Android", "type": "mobile", "model": "Samsung Galaxy S23", "app_version": "1.0.0",
            "os_version": "14", "unknown": "left out"},
    });
    let answer = ana.request(Method::POST, "messages").json(&sent).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(answer.headers()["content-type"], "application/json");
    let text = answer.text().await.unwrap();
    let told: Value = serde_json::from_str(&text).unwrap();
    let (id, at) = (&told["data"]["message_id"], &told["data"]["timestamps"]["sent_at"]);
    let digits = id.as_str().unwrap().strip_prefix("msg_").unwrap();
    assert!(!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()), "{id}");
    let moment = at.as_str().unwrap();
    assert!(moment.len() == "2025-11-02T10:30:00+00:00".len() && moment.ends_with("+00:00"), "{moment}");
    let (pbk, from, to) = (ana.platform.key, ana.uuid(), rui.uuid());
    let want = format!(
        r#"{{"message":"Message sent successfully","data":{{"message_id":{id},"conversation_uuid":"{conversation}","sender":{{"uuid":"{from}","name":"Ana","avatar":null}},"receiver":{{"uuid":"{to}","name":"Rui","avatar":"https://example.com/avatars/rui.jpg"}},"context":{{"text":"Hello, how are you?","type":"text"}},"attachments":[],"metadata":{{}},"reactions":[],"status":{{"sent":true,"delivered":false,"read":false}},"timestamps":{{"sent_at":{at}}},"pbk":"{pbk}","device":{{"type":"mobile","os":"Android","os_version":"14","app_version":"1.0.0","model":"Samsung Galaxy S23"}}}}}}"#
    );
    assert_eq!(text, want);
}

#[tokio::test]
async fn wrong_fields_are_told_as_the_seed_says() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let body = json!({"conversation_uuid": conversation, "receiver_uuid": rui.uuid(), "context_type": "text",
        "device": {"os": "Linux"}});
    let answer = ana.request(Method::POST, "messages").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let want = r#"{"message":"The given data was invalid.","errors":{"context_text":["The context text field is required."],"device.type":["The device.type field is required."]}}"#;
    assert_eq!(answer.text().await.unwrap(), want);
}

#[tokio::test]
async fn a_success_is_told_in_three_languages() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    for (language, want) in [
        ("en", "Message sent successfully"),
        ("pt-BR", "Mensagem enviada com sucesso"),
        ("pt", "Mensagem enviada com sucesso"),
        ("es", "Mensaje enviado exitosamente"),
        ("en;q=0.2, es-MX;q=0.9, pt;q=0.8", "Mensaje enviado exitosamente"),
        ("fr, vi", "Message sent successfully"),
        ("", "Message sent successfully"),
    ] {
        let request = ana.request(Method::POST, "messages").header("accept-language", language);
        let request = request.json(&ana.message(&conversation, &rui, "olá"));
        let told: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(told["message"], want, "{language}");
    }
}
