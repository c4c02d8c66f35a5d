//! The HTTP API of the apps' backends.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{TestApp, answer};
use crate::support::pusher::{Backend, Client};

#[tokio::test]
async fn only_a_fresh_request_that_the_app_signed_is_answered() {
    let app = TestApp::start().await;
    let (acme, other) = (app.platform("Acme").await, app.platform("Other").await);
    let backend = Backend::new(&app, &acme);
    let body = json!({"name": "x", "channel": "news", "data": "1"}).to_string();
    let path = backend.path("events");
    let post = |path: &str, query: &[(String, String)], body: &str| {
        let request = app.request(Method::POST, path).query(query).body(body.to_owned());
        answer(request.header("content-type", "application/json"))
    };
    let query = backend.query(&Method::POST, &path, &[], body.as_bytes());
    assert_eq!(post(&path, &query, &body).await.0, StatusCode::OK);
    let refused = |(status, told): (StatusCode, Value)| {
        assert!(told["error"].is_string(), "{told}");
        status
    };
    let without = |name: &str| query.iter().filter(|(key, _)| key != name).cloned().collect::<Vec<_>>();
    for name in ["auth_key", "auth_timestamp", "auth_version", "auth_signature", "body_md5"] {
        assert_eq!(refused(post(&path, &without(name), &body).await), StatusCode::UNAUTHORIZED, "{name}");
    }
    assert_eq!(refused(post(&path, &[], &body).await), StatusCode::UNAUTHORIZED);
    assert_eq!(refused(post(&path, &query, &body.replace("news", "olds")).await), StatusCode::UNAUTHORIZED);
    assert_eq!(refused(post(&backend.path("batch_events"), &query, &body).await), StatusCode::UNAUTHORIZED);
    let stranger = Backend::new(&app, &other);
    let theirs = stranger.query(&Method::POST, &path, &[], body.as_bytes());
    assert_eq!(refused(post(&path, &theirs, &body).await), StatusCode::UNAUTHORIZED);
    app.clock.advance(Duration::from_secs(590));
    assert_eq!(post(&path, &query, &body).await.0, StatusCode::OK);
    app.clock.advance(Duration::from_secs(20));
    assert_eq!(refused(post(&path, &query, &body).await), StatusCode::UNAUTHORIZED);
    app.clock.set_back(Duration::from_secs(1220));
    assert_eq!(refused(post(&path, &query, &body).await), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_app_is_named_by_its_key_or_its_number() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let backend = Backend::new(&app, &acme);
    for (name, status) in [
        (acme.key.to_string(), StatusCode::OK),
        (acme.id.to_string(), StatusCode::OK),
        ("99".to_owned(), StatusCode::NOT_FOUND),
        ("nobody".to_owned(), StatusCode::NOT_FOUND),
        ("00000000-0000-4000-8000-000000000000".to_owned(), StatusCode::NOT_FOUND),
    ] {
        let path = format!("/apps/{name}/channels");
        let query = backend.query(&Method::GET, &path, &[], b"");
        assert_eq!(answer(app.request(Method::GET, &path).query(&query)).await.0, status, "{name}");
    }
    for path in ["/apps", "/apps/", "/apps/x", &backend.path("nothing")] {
        let (status, told) = app.get(path).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(told["error"].is_string(), "{path}: {told}");
    }
    let (status, told) = app.get(&backend.path("events")).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(told["error"].is_string(), "{told}");
}

#[tokio::test]
async fn an_event_goes_to_many_channels_and_spares_its_sender() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let backend = Backend::new(&app, &acme);
    let (mut ana, mut rui) = (Client::connect(&app, &acme).await, Client::connect(&app, &acme).await);
    for client in [&mut ana, &mut rui] {
        client.subscribes("private-a").await;
        client.subscribes("private-b").await;
    }
    let body = json!({"name": "order", "channels": ["private-a", "private-b", "nobody-there"], "data": "{\"n\":1}",
        "socket_id": ana.id, "info": "subscription_count,user_count"});
    let counts = json!({"private-a": {"subscription_count": 2}, "private-b": {"subscription_count": 2},
        "nobody-there": {"subscription_count": 0}});
    assert_eq!(backend.post("events", &body).await, (StatusCode::OK, json!({"channels": counts})));
    for channel in ["private-a", "private-b"] {
        assert_eq!(rui.next().await, json!({"event": "order", "channel": channel, "data": {"n": 1}}));
    }
    backend.tells("private-a", "sentinel", json!(1)).await;
    assert_eq!(ana.next().await["event"], "sentinel");
    // Data that is no JSON is a text like any other, and an object stands for its text.
    for (data, want) in [(json!("plain"), json!("plain")), (json!({"n": 2}), json!({"n": 2}))] {
        let body = json!({"name": "order", "channel": "private-b", "data": data});
        assert_eq!(backend.post("events", &body).await.0, StatusCode::OK);
        assert_eq!(ana.next().await["data"], want);
    }
}

#[tokio::test]
async fn a_batch_is_told_whole_or_not_at_all() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let backend = Backend::new(&app, &acme);
    let mut client = Client::connect(&app, &acme).await;
    client.subscribes("a").await;
    client.subscribes("b").await;
    let event = |channel: &str, number: usize| json!({"name": "x", "channel": channel, "data": number.to_string()});
    let bad = json!({"batch": [event("a", 1), event("not a name", 2)]});
    assert_eq!(backend.post("batch_events", &bad).await.0, StatusCode::BAD_REQUEST);
    let many: Vec<_> = (0..11).map(|number| event("a", number)).collect();
    assert_eq!(backend.post("batch_events", &json!({"batch": many})).await.0, StatusCode::BAD_REQUEST);
    let two = json!({"batch": [{"name": "x", "channels": ["a", "b"], "data": "1"}]});
    assert_eq!(backend.post("batch_events", &two).await.0, StatusCode::BAD_REQUEST);
    let mut last = event("b", 1);
    last["info"] = json!("subscription_count");
    let good = json!({"batch": [event("a", 0), last]});
    let told = json!({"batch": [{}, {"subscription_count": 1}]});
    assert_eq!(backend.post("batch_events", &good).await, (StatusCode::OK, told));
    assert_eq!((client.next().await["data"].clone(), client.next().await["data"].clone()), (json!(0), json!(1)));
}

#[tokio::test]
async fn what_is_not_legal_is_said() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let backend = Backend::new(&app, &acme);
    let event = |more: Value| {
        let mut event = json!({"name": "x", "channels": ["a"], "data": "1"});
        for (name, value) in more.as_object().unwrap() {
            event[name] = value.clone();
        }
        event
    };
    for (body, want) in [
        (event(json!({})), StatusCode::OK),
        (event(json!({"data": "a".repeat(10_240)})), StatusCode::OK),
        (event(json!({"data": "a".repeat(10_241)})), StatusCode::PAYLOAD_TOO_LARGE),
        (event(json!({"channels": vec!["a"; 100]})), StatusCode::OK),
        (event(json!({"channels": vec!["a"; 101]})), StatusCode::BAD_REQUEST),
        (event(json!({"channels": []})), StatusCode::BAD_REQUEST),
        (event(json!({"channels": null})), StatusCode::BAD_REQUEST),
        (event(json!({"channel": "b"})), StatusCode::BAD_REQUEST),
        (event(json!({"channels": ["a".repeat(165)]})), StatusCode::BAD_REQUEST),
        (event(json!({"channels": ["a b"]})), StatusCode::BAD_REQUEST),
        (event(json!({"channels": [7]})), StatusCode::BAD_REQUEST),
        (event(json!({"name": ""})), StatusCode::BAD_REQUEST),
        (event(json!({"name": "a".repeat(201)})), StatusCode::BAD_REQUEST),
        (event(json!({"name": null})), StatusCode::BAD_REQUEST),
        (event(json!({"socket_id": "1"})), StatusCode::BAD_REQUEST),
        (event(json!({"socket_id": "1.1:x"})), StatusCode::BAD_REQUEST),
        (json!({}), StatusCode::BAD_REQUEST),
        (json!([]), StatusCode::BAD_REQUEST),
        (json!("x"), StatusCode::BAD_REQUEST),
        (json!({"name": "x", "data": "a".repeat(300_000)}), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let (status, told) = backend.post("events", &body).await;
        let start: String = body.to_string().chars().take(80).collect();
        assert_eq!(status, want, "{start} {told}");
        assert_eq!(told["error"].is_string(), status != StatusCode::OK, "{told}");
    }
    let cases: [(&str, &[(&str, &str)]); 6] = [
        ("channels", &[("info", "user_count")]),
        ("channels", &[("info", "user_count"), ("filter_by_prefix", "private-")]),
        ("channels/private-a", &[("info", "user_count")]),
        ("channels/private-a", &[("info", "cache")]),
        ("channels/private-a/users", &[]),
        ("channels/a%20b", &[]),
    ];
    for (path, query) in cases {
        let (status, told) = backend.get(path, query).await;
        assert_eq!((status, told["error"].is_string()), (StatusCode::BAD_REQUEST, true), "{path} {query:?}");
    }
    let gone = backend.post(&format!("users/{}/terminate_connections", "a".repeat(129)), &Value::Null).await;
    assert_eq!(gone.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn channels_are_listed_while_somebody_is_there() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let backend = Backend::new(&app, &acme);
    assert_eq!(backend.get("channels", &[]).await.1, json!({"channels": {}}));
    let mut client = Client::connect(&app, &acme).await;
    client.subscribes("news").await;
    client.subscribes("private-a").await;
    client.joins("presence-a", "ana").await;
    let (_, all) = backend.get("channels", &[("info", "subscription_count,later")]).await;
    let one = json!({"subscription_count": 1});
    assert_eq!(all, json!({"channels": {"news": one, "private-a": one, "presence-a": one}}));
    let (_, some) = backend.get("channels", &[("filter_by_prefix", "private-")]).await;
    assert_eq!(some, json!({"channels": {"private-a": {}}}));
    assert_eq!(backend.get("channels/olds", &[]).await.1, json!({"occupied": false}));
    assert_eq!(backend.get("connections", &[]).await.1, json!({"connections": 1}));
}
