//! A user's chats: made, listed in any order, renamed, removed.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{issue, issues};
use crate::chats::keys;
use crate::support::app::TestApp;
use crate::support::neptun::Member;

async fn names(member: &Member<'_>, query: &str) -> Vec<String> {
    let (status, body) = member.get(&member.path(&format!("/chats{query}"))).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let chats = body["chats"].as_array().expect("a list");
    chats.iter().map(|chat| chat["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn a_chat_is_made_renamed_and_removed() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let body = json!({"name": "  Compose\nfile ", "model": "openrouter/deepseek-chat", "unknown": 1});
    let request = lan.request(Method::POST, &lan.path("/chats")).json(&body);
    let text = request.send().await.unwrap().text().await.unwrap();
    let made: Value = serde_json::from_str(&text).unwrap();
    let inner = text.strip_prefix("{\"chat\":").and_then(|rest| rest.strip_suffix('}')).unwrap();
    assert_eq!(keys(inner), ["id", "name", "model", "created_at", "updated_at", "neptun_user_id"]);
    let chat = &made["chat"];
    assert_eq!((&chat["name"], &chat["model"]), (&json!("Compose file"), &json!("openrouter/deepseek-chat")));
    assert_eq!((&chat["neptun_user_id"], &chat["created_at"]), (&json!(lan.id), &chat["updated_at"]));
    let id = chat["id"].as_i64().unwrap();
    app.clock.advance(Duration::from_secs(1));
    lan.says(id, "user", "Hello").await;
    let (_, listed) = lan.get(&lan.path("/chats")).await;
    assert_eq!(listed, json!({"chats": [chat]}), "a message is no change of the chat");
    let path = lan.path(&format!("/chats/{id}"));
    let (status, renamed) = lan.send(Method::PATCH, &path, json!({"name": "Better", "model": "ignored"})).await;
    assert_eq!((status, &renamed["chat"]["name"]), (StatusCode::OK, &json!("Better")));
    assert_eq!(renamed["chat"]["model"], "openrouter/deepseek-chat");
    assert!(renamed["chat"]["updated_at"].as_str().unwrap() > chat["updated_at"].as_str().unwrap());
    assert_eq!(lan.delete(&path).await, (StatusCode::OK, json!(true)));
    let (status, body) = lan.delete(&path).await;
    assert_eq!((status, &body["data"]["message"]), (StatusCode::NOT_FOUND, &json!("Chat not found")));
    assert_eq!(lan.get(&lan.messages(id)).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_list_comes_in_the_order_that_was_asked_for() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let mut ids = Vec::new();
    for name in ["bbb", "ccc", "aaa"] {
        ids.push(lan.chat(name).await);
        app.clock.advance(Duration::from_secs(1));
    }
    lan.send(Method::PATCH, &lan.path(&format!("/chats/{}", ids[0])), json!({"name": "ddd"})).await;
    assert_eq!(names(&lan, "").await, ["ddd", "aaa", "ccc"], "what changed last comes first");
    for (order, want) in [
        ("name:asc", ["aaa", "ccc", "ddd"]),
        ("name:desc", ["ddd", "ccc", "aaa"]),
        ("id:asc", ["ddd", "ccc", "aaa"]),
        ("created_at:desc", ["aaa", "ccc", "ddd"]),
        ("updated_at:asc", ["ccc", "aaa", "ddd"]),
        ("model:asc,name:asc", ["aaa", "ccc", "ddd"]),
        ("model:desc,%20id%20:%20desc", ["aaa", "ccc", "ddd"]),
    ] {
        assert_eq!(names(&lan, &format!("?order_by={order}")).await, want, "{order}");
    }
    let sentence = "order_by must be a comma-separated list of 'column:direction' pairs";
    for wrong in [
        "",
        "name",
        "name:up",
        "password:asc",
        "name:asc,",
        ":",
        "name:asc;id:asc",
        "id:asc,id:asc,id:asc,id:asc,id:asc,id:asc",
        "%00",
    ] {
        let (status, body) = lan.get(&lan.path(&format!("/chats?order_by={wrong}"))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
        assert_eq!(issues(&body).pop().unwrap(), issue("custom", json!(["order_by"]), sentence), "{wrong}");
    }
}

#[tokio::test]
async fn a_long_list_is_whole() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    for number in 0..205 {
        lan.chat(&format!("chat {number:03}")).await;
    }
    let listed = names(&lan, "?order_by=name:asc").await;
    assert_eq!(listed, (0..205).map(|number| format!("chat {number:03}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn chats_are_removed_all_or_none() {
    let app = TestApp::start().await;
    let (lan, tam) = (app.member("Lan").await, app.member("Tam").await);
    let (a, b, c) = (lan.chat("aaa").await, lan.chat("bbb").await, lan.chat("ccc").await);
    let foreign = tam.chat("Tam's").await;
    let path = lan.path("/chats");
    for ids in [json!([a, foreign]), json!([a, 999_999]), json!([a, 9e15])] {
        let (status, body) = lan.send(Method::DELETE, &path, json!({"chat_ids": ids})).await;
        assert_eq!((status, &body["data"]["message"]), (StatusCode::NOT_FOUND, &json!("Chat not found")), "{ids}");
    }
    assert_eq!((names(&lan, "").await.len(), names(&tam, "").await.len()), (3, 1));
    assert_eq!(lan.send(Method::DELETE, &path, json!({"chat_ids": [a, b, a]})).await, (StatusCode::OK, json!(true)));
    assert_eq!(names(&lan, "").await, ["ccc"]);
    assert_eq!(lan.form(Method::DELETE, &path, &format!("chat_ids={c}")).await, (StatusCode::OK, json!(true)));
    assert!(names(&lan, "").await.is_empty());
}

#[tokio::test]
async fn everything_is_as_it_was_after_a_restart() {
    let mut app = TestApp::start().await;
    let (id, cookie, email, chat) = {
        let lan = app.member("Lan").await;
        let chat = lan.chat("A chat").await;
        lan.says(chat, "user", "Hello").await;
        (lan.id, lan.cookie, lan.email, chat)
    };
    app.restart().await;
    let lan = Member { app: &app, id, cookie, email };
    assert_eq!(lan.checks().await, StatusCode::NO_CONTENT, "sessions outlive the server");
    assert_eq!(lan.transcript(chat).await, [("user".to_owned(), "Hello".to_owned())]);
}
