//! Answers under way in a chat: seen, heard and stopped by who comes back, made again, and what a message beside them does.

use reqwest::{Method, Response, StatusCode};
use roost::local::scripted::{Script, Step, events, text as says};
use serde_json::{Value, json};

use super::answers::{codes, heard, text};
use super::{issue, issues};
use crate::support::app::TestApp;
use crate::support::neptun::Member;
use crate::support::provider::{asked, provided};

const WHOLE: &str = "openrouter/deepseek-chat";

/// A chat with a model whose answers are framed.
async fn framed(member: &Member<'_>) -> i64 {
    let (status, body) = member.post(&member.path("/chats"), json!({"name": "A chat", "model": WHOLE})).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body["chat"]["id"].as_i64().unwrap()
}

async fn stream(member: &Member<'_>, method: Method, path: String) -> Response {
    member.request(method, &path).send().await.unwrap()
}

#[tokio::test]
async fn who_comes_back_sees_hears_stops_and_continues() {
    let (provider, app) = provided(|seen| match seen.number {
        0 => Script(vec![events(), says("Half an "), Step::Hang]),
        1 => Script::chat(&["answer", "."]),
        _ => Script::chat(&["Another."]),
    })
    .await;
    let lan = app.member("Lan").await;
    let chat = framed(&lan).await;
    let path = |rest: &str| lan.path(&format!("/chats/{chat}/{rest}"));
    assert_eq!(lan.get(&path("runs")).await, (StatusCode::OK, json!({"runs": []})));
    assert_eq!(lan.get(&path("answer")).await.0, StatusCode::NO_CONTENT);
    let mut first = lan.asks(WHOLE, Some(chat), json!([{"role": "user", "content": "hello"}])).await;
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("Half an ") {
        seen.extend(first.chunk().await.unwrap().expect("an open stream"));
    }
    drop(first);
    let other = lan.elsewhere().await;
    let listed = stream(&other, Method::GET, path("runs")).await;
    let cursor: i64 = listed.headers()["event-cursor"].to_str().unwrap().parse().unwrap();
    let runs: Value = listed.json().await.unwrap();
    assert_eq!((&runs["runs"][0]["state"], &runs["runs"][0]["text"]), (&json!("running"), &json!("Half an ")));
    let mut tab = other.follows(&format!("?last_event_id={cursor}")).await;
    let resumed = stream(&other, Method::GET, path("answer?cursor=5")).await;
    let (status, stopped) = other.post(&path("stop"), json!({})).await;
    assert_eq!((status, &stopped["stopped"]), (StatusCode::OK, &json!(true)), "{stopped}");
    let kept = &stopped["chatMessage"];
    assert_eq!((&kept["message"], &kept["actor"]), (&json!("Half an "), &json!("assistant")));
    let rest = heard(resumed).await;
    assert_eq!((codes(&rest).as_str(), text(&rest).as_str()), ("f03", "an "));
    let ended = tab.next_of("runChanged").await.unwrap().data;
    assert_eq!((&ended["state"], &ended["run_id"]), (&json!("stopped"), &runs["runs"][0]["run_id"]));
    provider.until(|seen| seen[0].is_left()).await.unwrap();
    assert_eq!(lan.post(&path("stop"), json!({})).await.1, json!({"stopped": false, "chatMessage": null}));
    assert_eq!(lan.get(&path("answer")).await.0, StatusCode::NO_CONTENT);
    let question = lan.reads(chat).await[0]["id"].clone();
    let whole =
        heard(stream(&lan, Method::POST, path(&format!("messages/{question}/answer?continue=true"))).await).await;
    assert_eq!((codes(&whole).as_str(), text(&whole).as_str()), ("f0ed", "Half an answer."));
    assert!(asked(&provider.seen()[1])["messages"].to_string().contains("Half an "));
    let transcript = |answer: &str| {
        [("user", "hello"), ("assistant", answer)].map(|(actor, text)| (actor.to_owned(), text.to_owned()))
    };
    assert_eq!(lan.transcript(chat).await, transcript("Half an answer."));
    let anew = heard(stream(&lan, Method::POST, path(&format!("messages/{question}/answer"))).await).await;
    assert_eq!(text(&anew), "Another.");
    assert_eq!(lan.transcript(chat).await, transcript("Another."));
}

#[tokio::test]
async fn what_cannot_be_answered_again_or_heard_is_refused() {
    let app = TestApp::start().await;
    let (lan, tam) = (app.member("Lan").await, app.member("Tam").await);
    let (chat, foreign) = (lan.chat("A chat").await, tam.chat("Tam's").await);
    let theirs = tam.says(foreign, "user", "hello").await["id"].clone();
    let (mine, other) = (lan.says(chat, "user", "hello").await, lan.says(chat, "assistant", "hi").await);
    for message in [&theirs, &other["id"], &json!(999_999)] {
        let path = lan.path(&format!("/chats/{chat}/messages/{message}/answer"));
        let (status, body) = lan.post(&path, json!({})).await;
        assert_eq!(
            (status, &body["data"]["message"]),
            (StatusCode::NOT_FOUND, &json!("Message not found")),
            "{message}"
        );
    }
    let answer = |query: &str| lan.path(&format!("/chats/{chat}/messages/{}/answer{query}", mine["id"]));
    let (status, body) = lan.post(&answer("?continue=maybe"), json!({})).await;
    assert_eq!(
        (status, &body["statusMessage"]),
        (StatusCode::BAD_REQUEST, &json!("Bad Request. Invalid query(continue)."))
    );
    assert_eq!(issues(&body).len(), 1);
    for cursor in ["-1", "x"] {
        let (status, body) = lan.get(&lan.path(&format!("/chats/{chat}/answer?cursor={cursor}"))).await;
        assert_eq!((status, issues(&body).len()), (StatusCode::BAD_REQUEST, 1), "{cursor}: {body}");
        assert_eq!(body["statusMessage"], "Bad Request. Invalid query(cursor).");
    }
    for (method, rest) in [(Method::GET, "runs"), (Method::POST, "stop"), (Method::GET, "answer")] {
        let (status, body) = lan.send(method, &lan.path(&format!("/chats/{foreign}/{rest}")), json!({})).await;
        assert_eq!((status, &body["data"]["message"]), (StatusCode::NOT_FOUND, &json!("Chat not found")), "{rest}");
    }
    assert_eq!(lan.reads(chat).await.len(), 2);
}

#[tokio::test]
async fn what_messages_do_beside_an_answer_is_a_setting_of_the_chat() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let new = |way: Value| json!({"name": "A chat", "model": WHOLE, "while_answering": way});
    let (_, made) = lan.post(&lan.path("/chats"), new(json!("queue"))).await;
    assert_eq!(made["chat"]["while_answering"], "queue");
    let path = lan.path(&format!("/chats/{}", made["chat"]["id"]));
    let (status, edited) = lan.send(Method::PATCH, &path, json!({"while_answering": "interrupt"})).await;
    assert_eq!(
        (status, &edited["chat"]["while_answering"], &edited["chat"]["name"]),
        (StatusCode::OK, &json!("interrupt"), &json!("A chat"))
    );
    let (_, renamed) = lan.send(Method::PATCH, &path, json!({"name": "Renamed"})).await;
    assert_eq!(
        (&renamed["chat"]["while_answering"], &renamed["chat"]["name"]),
        (&json!("interrupt"), &json!("Renamed"))
    );
    let wrong = "Invalid enum value. Expected 'queue' | 'interrupt' | 'parallel', received 'later'";
    let wrong = issue("invalid_enum_value", json!(["while_answering"]), wrong);
    let (status, refused) = lan.post(&lan.path("/chats"), new(json!("later"))).await;
    assert_eq!((status, issues(&refused)), (StatusCode::BAD_REQUEST, vec![wrong.clone()]));
    let (_, refused) = lan.send(Method::PATCH, &path, json!({"while_answering": "later"})).await;
    assert_eq!(issues(&refused), [wrong]);
    let (status, unset) = lan.send(Method::PATCH, &path, json!({"while_answering": null})).await;
    let is_there = unset["chat"].as_object().unwrap().contains_key("while_answering");
    assert_eq!((status, is_there, &unset["chat"]["name"]), (StatusCode::OK, false, &json!("Renamed")), "{unset}");
    let (_, made) = lan.post(&lan.path("/chats"), new(json!(null))).await;
    assert!(!made["chat"].as_object().unwrap().contains_key("while_answering"), "{made}");
    lan.send(Method::PATCH, &path, json!({"while_answering": "interrupt"})).await;
    let (_, refused) = lan.send(Method::PATCH, &path, json!({})).await;
    assert_eq!(issues(&refused), [issue("invalid_type", json!(["name"]), "Required")]);
    lan.chat("Another").await;
    let (_, chats) = lan.get(&lan.path("/chats?order_by=id:asc")).await;
    assert_eq!(chats["chats"][0]["while_answering"], "interrupt");
    assert!(!chats["chats"][2].as_object().unwrap().contains_key("while_answering"), "{chats}");
}
