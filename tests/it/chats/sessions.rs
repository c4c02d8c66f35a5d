//! Sessions: made, found by either name, listed, edited, removed.

use reqwest::{Method, StatusCode};
use roost::config::ListSessions;
use roost::domain::{Ability, Email};
use serde_json::{Value, json};

use super::{all, text};
use crate::support::app::{TestApp, answer};

#[tokio::test]
async fn a_session_is_what_the_client_says() {
    let app = TestApp::start().await;
    let said = json!({
        "session_id": " lp-1 ", "external_user_id": 42, "metadata": [1, {"a": null}],
        "expires_at": "2020-01-02T12:00:00+02:00", "is_active": "no",
    });
    let visitor = app.visitor_with(said).await;
    let session = &visitor.session;
    assert_eq!((&session["session_id"], &session["external_user_id"]), (&json!("lp-1"), &json!("42")));
    assert_eq!(session["metadata"], json!([1, {"a": null}]));
    assert_eq!(session["expires_at"], "2020-01-02T10:00:00.000000Z");
    assert_eq!(session["is_active"], json!(false));
    for name in ["lp-1", text(&session["id"])] {
        assert_eq!(app.get(&format!("/api/chats/sessions/{name}/")).await, (StatusCode::OK, session.clone()));
    }
}

#[tokio::test]
async fn a_blank_name_is_replaced_by_one_that_cannot_be_guessed() {
    let app = TestApp::start().await;
    for fields in [json!({"session_id": " "}), json!({})] {
        let visitor = app.visitor_with(fields).await;
        assert!(uuid::Uuid::try_parse(visitor.name()).is_ok_and(|name| name.get_version_num() == 4));
        assert_ne!(visitor.session["session_id"], visitor.session["id"]);
    }
}

#[tokio::test]
async fn a_session_lasts_a_day_unless_it_says_otherwise() {
    let app = TestApp::start().await;
    let session = app.visitor().await.session;
    let at = |field: &str| roost::domain::Timestamp::parse(text(&session[field])).unwrap().0;
    assert_eq!(at("expires_at") - at("created_at"), 24 * 3600 * 1_000_000);
}

#[tokio::test]
async fn an_edit_keeps_what_it_does_not_name() {
    let app = TestApp::start().await;
    let visitor = app.visitor_with(json!({"session_id": "a", "external_user_id": "u", "metadata": {"k": 1}})).await;
    for method in [Method::PUT, Method::PATCH] {
        let (status, same) = app.send(method.clone(), &visitor.path(), json!({})).await;
        assert_eq!((status, &same), (StatusCode::OK, &visitor.session), "{method}");
    }
    let edit = json!({"session_id": "b", "external_user_id": null, "is_active": false});
    let (status, edited) = app.send(Method::PATCH, &visitor.path(), edit).await;
    let mut want = visitor.session.clone();
    (want["session_id"], want["external_user_id"], want["is_active"]) = (json!("b"), Value::Null, json!(false));
    assert_eq!((status, &edited), (StatusCode::OK, &want));
    assert_eq!(app.get("/api/chats/sessions/b/").await.1, want);
    assert_eq!(app.get("/api/chats/sessions/a/").await.0, StatusCode::NOT_FOUND);
    let (_, edited) = app.send(Method::PUT, "/api/chats/sessions/b/", json!({"metadata": 7})).await;
    assert_eq!((&edited["metadata"], &edited["is_active"]), (&json!(7), &json!(false)));
}

#[tokio::test]
async fn sessions_are_listed_newest_first_and_filtered() {
    let app = TestApp::start().await;
    for (name, user, active) in [("alpha", "u1", true), ("beta", "u2", false), ("gamma", "u1", false)] {
        app.visitor_with(json!({"session_id": name, "external_user_id": user, "is_active": active})).await;
    }
    for (query, want) in [
        ("", &["gamma", "beta", "alpha"][..]),
        ("?is_active=true", &["alpha"]),
        ("?is_active=False", &["gamma", "beta"]),
        ("?is_active=", &["gamma", "beta", "alpha"]),
        ("?external_user_id=u1", &["gamma", "alpha"]),
        ("?external_user_id=u1&is_active=0", &["gamma"]),
        ("?search=ET", &["beta"]),
        ("?search=U2", &["beta"]),
        ("?search=%25", &[]),
    ] {
        let (status, page) = app.get(&format!("/api/chats/sessions/{query}")).await;
        assert_eq!((status, &page["count"]), (StatusCode::OK, &json!(want.len())), "{query}");
        assert_eq!(all(page["results"].as_array().unwrap(), "session_id"), want, "{query}");
    }
}

#[tokio::test]
async fn the_session_list_is_paged_by_links_that_can_be_followed() {
    let app = TestApp::start().await;
    for number in 0..25 {
        // A name is kept as it came, and found however its letters are spelled.
        let visitor = if number % 2 == 0 { "ü & co" } else { "u\u{308} & co" };
        app.visitor_with(json!({"session_id": format!("s{number:02}"), "external_user_id": visitor})).await;
    }
    app.visitor().await;
    let first = format!("{}/api/chats/sessions/?search=%C3%BC+%26&page_size=10", app.url);
    let (mut url, mut found) = (Some(first), Vec::new());
    while let Some(next) = url {
        let (status, page) = answer(app.client.get(&next)).await;
        assert_eq!((status, &page["count"]), (StatusCode::OK, &json!(25)));
        found.extend(page["results"].as_array().unwrap().iter().map(|item| text(&item["session_id"]).to_owned()));
        url = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(found, (0..25).rev().map(|number| format!("s{number:02}")).collect::<Vec<_>>());

    let (_, last) = app.get("/api/chats/sessions/?page=last&page_size=10").await;
    assert_eq!((&last["count"], last["results"].as_array().unwrap().len()), (&json!(26), 6));
    assert_eq!(last["previous"], format!("{}/api/chats/sessions/?page=2&page_size=10", app.url));
    let (_, second) = app.get("/api/chats/sessions/?page=2&page_size=10").await;
    assert_eq!(second["previous"], format!("{}/api/chats/sessions/?page_size=10", app.url));
    let (_, usual) = app.get("/api/chats/sessions/?page_size=none").await;
    assert_eq!(usual["results"].as_array().unwrap().len(), 20);
    for page in ["0", "-1", "x", "3", "99999999999999999999"] {
        let (status, body) = app.get(&format!("/api/chats/sessions/?page={page}")).await;
        assert_eq!((status, body), (StatusCode::NOT_FOUND, json!({"detail": "Invalid page."})), "{page}");
    }
}

#[tokio::test]
async fn an_empty_list_has_one_page() {
    let app = TestApp::start().await;
    let empty = json!({"count": 0, "next": null, "previous": null, "results": []});
    for query in ["", "?page=1", "?page=last"] {
        assert_eq!(app.get(&format!("/api/chats/sessions/{query}")).await, (StatusCode::OK, empty.clone()));
    }
}

async fn token(app: &TestApp, ability: &str) -> String {
    let email = Email::parse(&format!("{ability}@example.test")).unwrap();
    let user = app.app.chat.add_user(None, email, ability.to_owned(), None, false, Vec::new()).await.unwrap();
    let abilities = vec![Ability::parse(ability).unwrap()];
    app.app.chat.make_token(user, "test".to_owned(), abilities, None).await.unwrap().token
}

#[tokio::test]
async fn the_list_shows_other_peoples_sessions_only_to_who_may_see_them() {
    let app = TestApp::with(|config| config.chats.list_sessions = ListSessions::Key).await;
    app.visitor().await;
    let (able, unable) = (token(&app, "chats").await, token(&app, "bots").await);
    let list = || app.request(Method::GET, "/api/chats/sessions/");
    let missing = json!({"detail": "Authentication credentials were not provided."});
    assert_eq!(answer(list()).await, (StatusCode::UNAUTHORIZED, missing));
    let wrong = json!({"detail": "Invalid token."});
    assert_eq!(answer(list().bearer_auth("1|nonsense")).await, (StatusCode::UNAUTHORIZED, wrong));
    let (status, body) = answer(list().bearer_auth(unable)).await;
    assert_eq!(
        (status, body),
        (StatusCode::FORBIDDEN, json!({"detail": "You do not have permission to perform this action."}))
    );
    for request in [list().bearer_auth(&able), list().header("x-api-key", &able)] {
        let (status, page) = answer(request).await;
        assert_eq!((status, &page["count"]), (StatusCode::OK, &json!(1)));
    }
}

#[tokio::test]
async fn a_closed_list_is_closed_and_the_rest_is_open() {
    let app = TestApp::with(|config| config.chats.list_sessions = ListSessions::Closed).await;
    let visitor = app.visitor().await;
    let (status, body) = app.get("/api/chats/sessions/").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(text(&body["detail"]).contains("chats.list_sessions"), "{body}");
    assert_eq!(app.get(&visitor.path()).await.0, StatusCode::OK);
    visitor.asks("hello").await;
}

/// A proxy on this machine, and a page that a browser on it shows, bring strangers to loopback.
#[tokio::test]
async fn what_is_open_to_this_machine_is_closed_to_who_comes_through_it() {
    let app = TestApp::start().await;
    let list = || app.request(Method::GET, "/api/chats/sessions/");
    for (name, value, want) in [
        ("accept", "*/*", StatusCode::OK),
        ("origin", "http://localhost:5173", StatusCode::OK),
        ("origin", "https://shop.example", StatusCode::FORBIDDEN),
        ("x-forwarded-for", "203.0.113.9", StatusCode::FORBIDDEN),
        ("forwarded", "for=203.0.113.9", StatusCode::FORBIDDEN),
        ("host", "chat.example", StatusCode::FORBIDDEN),
    ] {
        let (status, body) = answer(list().header(name, value)).await;
        assert_eq!(status, want, "{name}: {value}: {body}");
    }
    let chosen = TestApp::with(|config| config.chats.list_sessions = ListSessions::Public).await;
    let list = chosen.request(Method::GET, "/api/chats/sessions/").header("origin", "https://shop.example");
    assert_eq!(answer(list).await.0, StatusCode::OK, "what is chosen is chosen");
    let behind = TestApp::with(|config| config.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await;
    assert_eq!(behind.get("/api/chats/sessions/").await.0, StatusCode::FORBIDDEN);
    let (status, body) = behind.post("/api/v1/chat/guest/session", json!({"session_key": "short"})).await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("VALIDATION_FAILED")), "{body}");
}

#[tokio::test]
async fn a_removed_session_takes_its_messages_and_its_answer_along() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 20).await;
    let visitor = app.visitor().await;
    let said = visitor.says("hello").await;
    let mut stream = visitor.hears(&"word ".repeat(1000)).await;
    stream.next().await.unwrap();
    let mut events = visitor.follows(0).await;
    assert_eq!(app.delete(&visitor.path()).await, StatusCode::NO_CONTENT);
    assert!(events.next_of("gone").await.is_some());
    assert_eq!(super::Heard::all(stream).await.end["error"], "The answer was stopped.");
    assert_eq!(app.get(&format!("/api/chats/messages/{}/", text(&said["id"]))).await.0, StatusCode::NOT_FOUND);
    assert_eq!(app.get(&visitor.list_path("")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(app.delete(&visitor.path()).await, StatusCode::NOT_FOUND);
    // The name is free again, the identifier is not given out twice.
    let again = app.visitor_with(json!({"session_id": visitor.name()})).await;
    assert_ne!(again.session["id"], visitor.session["id"]);
    assert!(again.lists().await.is_empty());
}
