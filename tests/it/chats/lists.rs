//! The messages of a session as a list: bare, filtered, paged both ways, and long.

use std::collections::BTreeMap;

use axum::body::Body;
use http_body_util::BodyExt;
use reqwest::{Response, StatusCode};
use roost::chat::{Draft, Locator};
use roost::domain::{MessageText, Role};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Visitor, all, text};
use crate::support::app::TestApp;

/// The addresses in a `Link` header, by their relation.
fn links(response: &Response) -> BTreeMap<String, String> {
    let header = response.headers().get("link").map(|value| value.to_str().unwrap()).unwrap_or_default();
    let parse = |link: &str| {
        let (url, relation) = link.trim().split_once(">; rel=\"").unwrap();
        (relation.trim_end_matches('"').to_owned(), url.trim_start_matches('<').to_owned())
    };
    header.split(", ").filter(|link| !link.is_empty()).map(parse).collect()
}

/// Follows a relation from a page to the last one; the pages on the way.
async fn walk(visitor: &Visitor<'_>, query: &str, relation: &str) -> Vec<Vec<String>> {
    let mut url = Some(format!("{}{}", visitor.app.url, visitor.list_path(query)));
    let mut pages = Vec::new();
    while let Some(next) = url {
        let response = visitor.app.client.get(next).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        url = links(&response).remove(relation);
        let page: Vec<Value> = response.json().await.unwrap();
        pages.push(all(&page, "message").into_iter().map(str::to_owned).collect());
    }
    pages
}

#[tokio::test]
async fn a_list_is_paged_both_ways_and_stays_an_array() {
    let app = TestApp::start().await;
    let visitor = app.visitor_with(json!({"session_id": "a & b"})).await;
    let mut last = Value::Null;
    for number in 1..=7 {
        last = visitor.says(&format!("m{number}")).await;
    }
    let forth = [&["m1", "m2", "m3"][..], &["m4", "m5", "m6"], &["m7"]];
    assert_eq!(walk(&visitor, "&limit=3", "next").await, forth);
    let before = format!("&limit=3&before={}", text(&last["id"]));
    let back = [&["m4", "m5", "m6"][..], &["m1", "m2", "m3"]];
    assert_eq!(walk(&visitor, &before, "prev").await, back);
    // Between two messages, and a page in the middle knows both its neighbours.
    let ids = visitor.lists().await;
    let between = format!("&after={}&before={}", text(&ids[1]["id"]), text(&ids[5]["id"]));
    assert_eq!(all(&visitor.lists_with(&between).await, "message"), ["m3", "m4", "m5"]);
    let middle = visitor.list_response(&format!("&limit=2&after={}", text(&ids[1]["id"]))).await;
    assert_eq!(links(&middle).into_keys().collect::<Vec<_>>(), ["next", "prev"]);
    let whole = visitor.list_response("&limit=100").await;
    assert!(links(&whole).is_empty());
}

#[tokio::test]
async fn a_page_can_be_continued_from_a_message_that_was_deleted() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    for number in 1..=6 {
        visitor.says(&format!("m{number}")).await;
    }
    let first = visitor.list_response("&limit=2").await;
    let next = links(&first).remove("next").unwrap();
    let page: Vec<Value> = first.json().await.unwrap();
    assert_eq!(app.delete(&format!("/api/chats/messages/{}/", text(&page[1]["id"]))).await, StatusCode::NO_CONTENT);
    let page: Vec<Value> = app.client.get(next).send().await.unwrap().json().await.unwrap();
    assert_eq!(all(&page, "message"), ["m3", "m4"]);
}

#[tokio::test]
async fn a_list_is_filtered_by_role_and_by_what_was_said() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    visitor.asks("ĐÀ NẴNG 100%").await;
    visitor.says("Huế").await;
    let body = json!({"session_id": visitor.name(), "message": "Be brief.", "role": "system"});
    assert_eq!(app.post("/api/chats/messages/", body).await.0, StatusCode::CREATED);
    for (query, want) in [
        ("&role=user", &["ĐÀ NẴNG 100%", "Huế"][..]),
        ("&role=assistant", &["Echo: ĐÀ NẴNG 100%"]),
        ("&role=system", &["Be brief."]),
        ("&role=", &["ĐÀ NẴNG 100%", "Echo: ĐÀ NẴNG 100%", "Huế", "Be brief."]),
        ("&search=đà nẵng", &["ĐÀ NẴNG 100%", "Echo: ĐÀ NẴNG 100%"]),
        ("&search=đa\u{300} na\u{306}\u{303}ng&role=user", &["ĐÀ NẴNG 100%"]),
        ("&search=hue\u{302}\u{301}", &["Huế"]),
        ("&search=0%25&role=user", &["ĐÀ NẴNG 100%"]),
        ("&search=_", &[]),
        ("&role=user&limit=1", &["ĐÀ NẴNG 100%"]),
    ] {
        assert_eq!(all(&visitor.lists_with(query).await, "message"), want, "{query}");
    }
}

#[tokio::test]
async fn a_deleted_message_is_seen_no_more() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    let (first, _second) = (visitor.says("one").await, visitor.says("two").await);
    let path = format!("/api/chats/messages/{}/", text(&first["id"]));
    assert_eq!(app.get(&path).await, (StatusCode::OK, first.clone()));
    assert_eq!(app.delete(&path).await, StatusCode::NO_CONTENT);
    assert_eq!(app.delete(&path).await, StatusCode::NOT_FOUND);
    assert_eq!(app.get(&path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(all(&visitor.lists().await, "message"), ["two"]);
    let prev = format!("&after={}", text(&first["id"]));
    assert_eq!(all(&visitor.lists_with(&prev).await, "message"), ["two"]);
}

#[tokio::test]
async fn a_message_is_stored_as_typed_with_what_is_attached() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    let body = json!({
        "session_id": visitor.session["id"], "message": "  <b>Xin chào</b> 👩‍👩‍👧 \r\n& \"you\" ", "role": "assistant",
        "metadata": {"sources": [{"document_id": 1, "score": 0.5}]},
    });
    let (status, message) = app.post("/api/chats/messages/", body.clone()).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(message["message"], "<b>Xin chào</b> 👩‍👩‍👧 \n& \"you\"");
    assert_eq!((&message["metadata"], &message["role"]), (&body["metadata"], &json!("assistant")));
    assert_eq!(visitor.lists().await, [message]);
}

/// Memory is bounded by what a page holds: long messages fill it before `limit` does, both ways.
#[tokio::test]
async fn long_messages_make_short_pages_and_none_is_left_out() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    let mut said = Vec::new();
    for number in 10..20 {
        said.push(format!("{number} {}", "👩".repeat(31_000)));
        visitor.says(said.last().unwrap()).await;
    }
    let forth = walk(&visitor, "&limit=100", "next").await;
    assert!(forth.len() > 1 && forth[0].len() > 1, "{:?}", forth.iter().map(Vec::len).collect::<Vec<_>>());
    assert_eq!(forth.concat(), said);
    let last = text(&visitor.lists().await[9]["id"]).to_owned();
    let mut back = walk(&visitor, &format!("&limit=100&before={last}"), "prev").await;
    back.reverse();
    assert_eq!(back.concat(), said[..9]);
}

/// Longer than any page that the server reads at once.
#[tokio::test]
async fn a_long_list_comes_whole_and_in_order() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    let chat = &app.app.chat;
    let session = chat.session(Locator::Name(visitor.name())).await.unwrap();
    let said: Vec<_> = (0..250).map(|number| format!("m{number} {}", "x".repeat(1000))).collect();
    for text in &said {
        let text = MessageText::parse(text, 2000).unwrap();
        let draft = Draft { role: Role::User, user_id: None, text, metadata: None, letter: None, key: None };
        chat.add_message(&session, draft).await.unwrap();
    }
    assert_eq!(all(&visitor.lists().await, "message"), said);
    let pages = walk(&visitor, "&limit=1000", "next").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 50], "at most 100 a page");
    assert_eq!(pages.concat(), said);
}

/// Every message is shown with its session, so short ones are long: what waits for a slow reader is
/// a chunk, however many they are.
#[tokio::test]
async fn a_list_is_rendered_as_it_is_read() {
    let app = TestApp::start().await;
    let visitor = app.visitor_with(json!({"metadata": {"x": "x".repeat(30 << 10)}})).await;
    for _ in 0..40 {
        visitor.says("a").await;
    }
    for query in ["", "&limit=100"] {
        let request = axum::http::Request::get(visitor.list_path(query)).body(Body::empty()).unwrap();
        let mut body = app.app.router.clone().oneshot(request).await.unwrap().into_body();
        let (mut chunks, mut longest) = (Vec::new(), 0);
        while let Some(frame) = body.frame().await {
            let chunk = frame.unwrap().into_data().unwrap();
            longest = longest.max(chunk.len());
            chunks.extend_from_slice(&chunk);
        }
        let list: Vec<Value> = serde_json::from_slice(&chunks).unwrap();
        assert_eq!(list.len(), 40, "{query}");
        assert!(longest < 128 << 10, "{query}: a chunk of {longest} bytes");
    }
}

/// A list whose first page cannot be read is a failure from its first byte on.
#[tokio::test]
async fn a_list_that_cannot_be_read_is_not_begun() {
    if crate::support::engine::is_other("a broken file") {
        return;
    }
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    visitor.says("a").await;
    let behind = rusqlite::Connection::open(app.config.data.join("roost.db")).unwrap();
    behind.execute_batch("alter table messages rename to lost").unwrap();
    for query in ["", "&limit=1"] {
        let (status, body) = app.get(&visitor.list_path(query)).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{query} {body}");
        assert!(body["detail"].is_string(), "{query} {body}");
    }
}
