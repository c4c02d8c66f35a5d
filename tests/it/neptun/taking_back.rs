//! Taking back the last exchange, in all its cases.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::chats::keys;
use crate::support::app::TestApp;
use crate::support::neptun::Member;

/// A chat in which this was said, a letter each: `u`ser, `a`ssistant, `s`ystem.
async fn chat_of(member: &Member<'_>, actors: &str) -> (i64, Vec<i64>) {
    let chat = member.chat("A chat").await;
    let mut ids = Vec::new();
    for (number, letter) in actors.chars().enumerate() {
        let actor = match letter {
            'u' => "user",
            'a' => "assistant",
            _ => "system",
        };
        let said = member.says(chat, actor, &format!("{letter}{number}")).await;
        ids.push(said["id"].as_i64().expect("a number"));
    }
    (chat, ids)
}

async fn texts(member: &Member<'_>, chat: i64) -> String {
    member.transcript(chat).await.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn what_was_said_last_goes_with_the_exchange_before_it() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    for (actors, left) in [
        ("ua", ""),
        ("uau", ""),
        ("uauu", ""),
        ("uaua", "u0 a1"),
        ("uauau", "u0 a1"),
        ("aa", ""),
        ("sa", ""),
        ("usas", "u0 s1"),
        ("uaa", "u0"),
    ] {
        let (chat, ids) = chat_of(&lan, actors).await;
        let path = format!("{}/last", lan.messages(chat));
        let answer = lan.request(reqwest::Method::DELETE, &path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{actors}");
        let text = answer.text().await.unwrap();
        assert_eq!(keys(&text), ["maybeAssistantMessageToDelete", "maybeUserMessageToDelete"], "{actors}");
        let body: Value = serde_json::from_str(&text).unwrap();
        let kept = if left.is_empty() { 0 } else { left.split(' ').count() };
        assert_eq!(body["maybeUserMessageToDelete"]["id"], ids[kept], "{actors}");
        assert_eq!(body["maybeAssistantMessageToDelete"]["id"], ids[kept + 1], "{actors}");
        assert_eq!(texts(&lan, chat).await, left, "{actors}");
    }
}

#[tokio::test]
async fn what_was_said_without_an_answer_goes_alone() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    for (actors, left) in [("u", ""), ("uuu", ""), ("au", "a0"), ("auu", "a0")] {
        let (chat, ids) = chat_of(&lan, actors).await;
        let trailing = &ids[left.split_whitespace().count()..];
        let (status, body) = lan.delete(&format!("{}/last", lan.messages(chat))).await;
        assert_eq!(
            (status, body),
            (StatusCode::OK, json!({"deletedSuccessfully": trailing, "failedToDelete": []})),
            "{actors}"
        );
        assert_eq!(texts(&lan, chat).await, left, "{actors}");
    }
}

#[tokio::test]
async fn where_nothing_was_said_nothing_is_taken_back() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let nothing = json!({"statusCode": 400, "statusMessage": "Bad Request", "stack": [],
        "data": "No messages found, for chat."});
    let (chat, _) = chat_of(&lan, "").await;
    let (status, body) = lan.delete(&format!("{}/last", lan.messages(chat))).await;
    assert_eq!((status, body), (StatusCode::BAD_REQUEST, nothing));
    let (chat, _) = chat_of(&lan, "a").await;
    let (status, body) = lan.delete(&format!("{}/last", lan.messages(chat))).await;
    assert_eq!((status, body), (StatusCode::OK, json!({"deletedSuccessfully": [], "failedToDelete": []})));
    assert_eq!(texts(&lan, chat).await, "a0", "a greeting is no exchange, and stays");
    assert_eq!(lan.delete(&format!("{}/last", lan.messages(999_999))).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_long_monologue_goes_whole() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let (chat, _) = chat_of(&lan, "a").await;
    let messages: Vec<_> =
        (0..450).map(|n| json!({"content": format!("{n} {}", "x".repeat(500)), "role": "user"})).collect();
    lan.post(&lan.messages(chat), json!({"messages": messages})).await;
    let (status, body) = lan.delete(&format!("{}/last", lan.messages(chat))).await;
    assert_eq!((status, body["deletedSuccessfully"].as_array().unwrap().len()), (StatusCode::OK, 450));
    assert_eq!(texts(&lan, chat).await, "a0");
}

/// Whoever takes back while others write takes back an end that was there, and loses nothing of theirs that
/// they had not seen.
#[tokio::test]
async fn taking_back_and_writing_at_once_lose_nothing() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let (chat, _) = chat_of(&lan, "ua").await;
    let path = format!("{}/last", lan.messages(chat));
    let write = async {
        let mut said = Vec::new();
        for number in 0..40 {
            let pair = json!({"messages": [{"content": format!("q{number}"), "role": "user"},
                {"content": format!("r{number}"), "role": "assistant"}]});
            let (status, body) = lan.post(&lan.messages(chat), pair).await;
            assert_eq!(status, StatusCode::OK, "{body}");
            said.extend(body["chatMessages"].as_array().unwrap().iter().map(|message| message["id"].as_i64().unwrap()));
        }
        said
    };
    let take = async {
        let mut taken = Vec::new();
        for _ in 0..20 {
            let (status, body) = lan.delete(&path).await;
            match status {
                StatusCode::OK => {
                    let id = |name: &str| body[name]["id"].as_i64().expect("a number");
                    let pair = [id("maybeUserMessageToDelete"), id("maybeAssistantMessageToDelete")];
                    assert_eq!(pair[0] + 1, pair[1], "an exchange that was written together goes together");
                    taken.extend(pair);
                }
                // Nothing there at that moment, or too much going on.
                StatusCode::BAD_REQUEST | StatusCode::SERVICE_UNAVAILABLE => {}
                other => panic!("{other}: {body}"),
            }
        }
        taken
    };
    let (said, taken) = tokio::join!(write, take);
    let left: Vec<_> = lan.reads(chat).await.iter().map(|message| message["id"].as_i64().unwrap()).collect();
    let want: Vec<_> = said.into_iter().filter(|id| !taken.contains(id)).collect();
    let kept: Vec<_> = left.into_iter().filter(|id| want.contains(id)).collect();
    assert_eq!(kept, want, "what was taken back is gone, and everything else is there");
}

/// Its answer would otherwise appear behind the place where its question was.
#[tokio::test]
async fn an_answer_under_way_is_taken_back_with_its_question() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 20).await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let question = json!([{"role": "user", "content": vec!["word"; 500].join(" ")}]);
    let mut response = lan.asks("google/gemma-2-27b-it", Some(chat), question).await;
    response.chunk().await.unwrap().expect("a first part");
    let (status, taken) = lan.delete(&format!("{}/last", lan.messages(chat))).await;
    assert_eq!(status, StatusCode::OK, "{taken}");
    assert!(taken["maybeAssistantMessageToDelete"]["message"].as_str().unwrap().starts_with("Echo: "), "{taken}");
    app.await_figure("runs", 0.0).await;
    assert!(lan.reads(chat).await.is_empty());
}

/// In pieces, each of which says by the log's end that nothing came between.
#[tokio::test]
async fn very_many_words_without_an_answer_are_taken_back() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let batch: Vec<Value> = (0..1000).map(|n| json!({"content": n.to_string(), "role": "user"})).collect();
    let (status, _) = lan.post(&lan.messages(chat), json!({"messages": batch})).await;
    assert_eq!(status, StatusCode::OK);
    let (status, taken) = lan.delete(&format!("{}/last", lan.messages(chat))).await;
    assert_eq!(
        (status, taken["deletedSuccessfully"].as_array().map(Vec::len)),
        (StatusCode::OK, Some(1000)),
        "{taken}"
    );
    assert!(lan.reads(chat).await.is_empty());
}
