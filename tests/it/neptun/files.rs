//! The files of a chat.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{issue, issues};
use crate::chats::keys;
use crate::support::app::TestApp;

#[tokio::test]
async fn a_file_is_put_beside_a_message() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let message = lan.says(chat, "assistant", "Here").await["id"].clone();
    let path = lan.path(&format!("/chats/{chat}/files/{message}"));
    let whole = json!({"text": "services: {}\n", "title": "compose.yaml", "language": "yaml", "extension": "yaml"});
    let (status, body) = lan.post(&path, whole).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let file = &body["chatFile"];
    let want = [
        "chat_conversation_id",
        "chat_conversation_message_id",
        "created_at",
        "extension",
        "id",
        "language",
        "neptun_user_id",
        "text",
        "title",
        "updated_at",
    ];
    assert_eq!(file.as_object().unwrap().keys().collect::<Vec<_>>(), want);
    assert_eq!((&file["text"], &file["title"]), (&json!("services: {}\n"), &json!("compose.yaml")));
    assert_eq!((&file["chat_conversation_message_id"], &file["neptun_user_id"]), (&message, &json!(lan.id)));
    let (status, body) =
        lan.post(&path, json!({"files": [{"text": "a"}, {"text": "b", "language": "rust", "title": "\n"}]})).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let files = body["chatFiles"].as_array().unwrap();
    let shown: Vec<_> = files
        .iter()
        .map(|file| ["text", "title", "language", "extension"].map(|key| file[key].as_str().unwrap()))
        .collect();
    assert_eq!(shown, [["a", "text-file", "text", "txt"], ["b", "rust-file", "rust", "txt"]]);
}

#[tokio::test]
async fn files_are_listed_by_chat_and_by_user() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let (first, second) = (lan.chat("first").await, lan.chat("second").await);
    for (chat, count) in [(first, 45), (second, 1)] {
        let message = lan.says(chat, "assistant", "Here").await["id"].clone();
        let files: Vec<_> = (0..count).map(|n| json!({"text": format!("{chat}-{n}")})).collect();
        let (status, _) = lan.post(&lan.path(&format!("/chats/{chat}/files/{message}")), json!({"files": files})).await;
        assert_eq!(status, StatusCode::OK);
    }
    let (_, body) = lan.get(&lan.path(&format!("/chats/{first}/files"))).await;
    let listed = body["chatFiles"].as_array().unwrap();
    let texts: Vec<_> = listed.iter().map(|file| file["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts, (0..45).map(|n| format!("{first}-{n}")).collect::<Vec<_>>(), "all pages, in order");
    assert_eq!(listed[0]["neptun_user_file"]["text"], listed[0]["text"]);
    let (_, all) = lan.get(&lan.path("/files")).await;
    assert_eq!(all.as_array().unwrap().len(), 46);
    let one = keys(&all[0].to_string());
    assert!(one.contains(&"neptun_user_id".to_owned()) && !one.contains(&"chat_conversation_id".to_owned()), "{one:?}");
    let (status, _) = lan.delete(&lan.path(&format!("/chats/{first}"))).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(lan.get(&lan.path("/files")).await.1.as_array().unwrap().len(), 1, "files go with their chat");
}

#[tokio::test]
async fn files_go_with_their_message() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    lan.says(chat, "user", "Write").await;
    let message = lan.says(chat, "assistant", "Here").await["id"].clone();
    let path = lan.path(&format!("/chats/{chat}/files/{message}"));
    assert_eq!(lan.post(&path, json!({"text": "a"})).await.0, StatusCode::OK);
    lan.delete(&format!("{}/last", lan.messages(chat))).await;
    assert_eq!(lan.get(&lan.path(&format!("/chats/{chat}/files"))).await.1, json!({"chatFiles": []}));
    let (status, body) = lan.post(&path, json!({"text": "a"})).await;
    assert_eq!((status, &body["data"]["message"]), (StatusCode::NOT_FOUND, &json!("Message not found")));
}

#[tokio::test]
async fn other_peoples_chats_take_no_files() {
    let app = TestApp::start().await;
    let (lan, tam) = (app.member("Lan").await, app.member("Tam").await);
    let (chat, own) = (lan.chat("Lan's").await, tam.chat("Tam's").await);
    let message = lan.says(chat, "assistant", "Here").await["id"].clone();
    for path in
        [tam.path(&format!("/chats/{chat}/files/{message}")), tam.path(&format!("/chats/{own}/files/{message}"))]
    {
        assert_eq!(tam.post(&path, json!({"text": "a"})).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(tam.get(&tam.path(&format!("/chats/{chat}/files"))).await.0, StatusCode::NOT_FOUND);
    assert_eq!(tam.get(&lan.path("/files")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(lan.get(&lan.path(&format!("/chats/{chat}/files"))).await.1, json!({"chatFiles": []}));
}

#[tokio::test]
async fn every_field_of_a_file_is_judged() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let message = lan.says(chat, "assistant", "Here").await["id"].clone();
    let path = lan.path(&format!("/chats/{chat}/files/{message}"));
    let text = |key: &str, value: Value| {
        let mut body = json!({"text": "a"});
        body[key] = value;
        body
    };
    let string = |path: Value, got: &str| issue("invalid_type", path, &format!("Expected string, received {got}"));
    for (body, want) in [
        (json!({}), issue("invalid_type", json!(["text"]), "Required")),
        (json!({"text": ""}), issue("too_small", json!(["text"]), "String must contain at least 1 character(s)")),
        (
            json!({"text": "x".repeat(100_001)}),
            issue("too_big", json!(["text"]), "String must contain at most 100000 character(s)"),
        ),
        (json!({"text": 1}), string(json!(["text"]), "number")),
        (json!({"text": "a\u{0}"}), issue("custom", json!(["text"]), "May not contain NUL characters")),
        (text("title", json!(null)), string(json!(["title"]), "null")),
        (
            text("title", json!("x".repeat(256))),
            issue("too_big", json!(["title"]), "String must contain at most 255 character(s)"),
        ),
        (text("language", json!([])), string(json!(["language"]), "array")),
        (text("extension", json!({})), string(json!(["extension"]), "object")),
        (json!({"files": []}), issue("too_small", json!(["files"]), "Array must contain at least 1 element(s)")),
        (json!({"files": [{"text": "a"}, {"text": false}]}), string(json!(["files", 1, "text"]), "boolean")),
    ] {
        let (status, refused) = lan.post(&path, body.clone()).await;
        assert_eq!((status, issues(&refused)), (StatusCode::BAD_REQUEST, vec![want]), "{body:.80}");
        assert_eq!(refused["statusMessage"], "Bad Request. Invalid body(file | files).");
    }
    assert_eq!(lan.get(&lan.path("/files")).await.1, json!([]), "nothing of a list with an error is stored");
}
