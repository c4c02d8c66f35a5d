//! Endpoints as a platform's backend manages them.

use reqwest::Method;
use roost::domain::{Ability, Email};
use serde_json::{Value, json};

use super::{Backend, HOOKS, server};
use crate::support::app::answer;
use crate::support::receiver::Receiver;

#[tokio::test]
async fn an_endpoint_is_added_read_edited_and_removed() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let backend = Backend::of(&ana).await;
    let (id, secret) = backend.adds(&receiver).await;
    assert!(secret.starts_with("whsec_"), "{secret}");
    let path = format!("{HOOKS}/{id}");
    let shown = backend.shown(&path).await;
    assert_eq!(backend.shown(HOOKS).await, json!([shown]));
    assert_eq!(
        (&shown["url"], &shown["form"], &shown["types"]),
        (&json!(receiver.url), &json!("standard"), &json!([]))
    );
    assert_eq!((&shown["is_active"], shown.get("secret")), (&json!(true), None), "{shown}");
    // Switched off it is told nothing; switched on, everything that happened meanwhile.
    let (_, off) = backend.send(Method::PATCH, &path, &json!({"is_active": false})).await;
    assert_eq!((&off["data"]["is_active"], &off["data"]["disabled_reason"]), (&json!(false), &json!("switched off")));
    ana.says(&conversation, &rui, "meanwhile").await;
    assert_eq!(app.crank().await, 0);
    let (_, on) = backend.send(Method::PATCH, &path, &json!({"is_active": true, "types": ["message.created"]})).await;
    assert_eq!((&on["data"]["is_active"], &on["data"]["types"]), (&json!(true), &json!(["message.created"])));
    app.crank().await;
    assert_eq!(receiver.texts(), ["meanwhile"]);
    assert_eq!(backend.send(Method::DELETE, &path, &json!({})).await.0.as_u16(), 204);
    assert_eq!(backend.get(&path).await.0.as_u16(), 404);
    ana.says(&conversation, &rui, "to nobody").await;
    assert_eq!(app.crank().await, 0);
}

#[tokio::test]
async fn a_new_endpoint_may_be_told_of_the_past() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let backend = Backend::of(&ana).await;
    ana.says(&conversation, &rui, "long ago").await;
    backend.adds(&receiver).await;
    assert_eq!(app.crank().await, 0, "unless asked it hears of what comes");
    let body = json!({"url": receiver.url, "after": 0});
    assert_eq!(backend.send(Method::POST, HOOKS, &body).await.0.as_u16(), 201);
    app.crank().await;
    assert_eq!(receiver.texts(), ["long ago"]);
}

#[tokio::test]
async fn a_key_is_rotated_with_both_signing_for_a_day() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let backend = Backend::of(&ana).await;
    let (id, before) = backend.adds(&receiver).await;
    let (status, body) = backend.send(Method::POST, &format!("{HOOKS}/{id}/rotate"), &json!({})).await;
    assert_eq!(status.as_u16(), 200, "{body}");
    let now = body["data"]["secret"].as_str().unwrap().to_owned();
    assert_ne!(now, before);
    ana.says(&conversation, &rui, "both").await;
    app.crank().await;
    app.waits(25 * 3600).await;
    ana.says(&conversation, &rui, "one").await;
    app.crank().await;
    let heard = receiver.heard();
    assert!(heard[0].is_signed_by(&now) && heard[0].is_signed_by(&before));
    assert!(heard[1].is_signed_by(&now) && !heard[1].is_signed_by(&before));
    assert!(!heard[1].is_signed_by("whsec_AAAA"));
}

#[tokio::test]
async fn what_is_wrong_with_an_endpoint_is_told_at_once() {
    let app = server(|config| config.webhooks.per_owner_max = 1).await;
    let (ana, _, _) = app.pair().await;
    let backend = Backend::of(&ana).await;
    let receiver = Receiver::start().await;
    for (body, fields) in [
        (json!({}), &["url"][..]),
        (json!({"url": "ftp://a.test/", "form": "carrier pigeon"}), &["form"]),
        (json!({"url": "ftp://a.test/", "types": ["nothing"], "after": 10_000}), &["after", "types", "url"]),
        (json!({"url": 7, "types": "message.created", "after": -1}), &["after", "types", "url"]),
        (json!({"url": "https://u:p@a.test/"}), &["url"]),
        (json!({"url": format!("https://a.test/{}", "a".repeat(2000))}), &["url"]),
        (json!({"url": "https://a.test/", "types": [1]}), &["types"]),
        (json!({"url": "https://a.test/", "form": "pusher", "types": ["message.created"]}), &["types"]),
    ] {
        let (status, answer) = backend.send(Method::POST, HOOKS, &body).await;
        assert_eq!(status.as_u16(), 422, "{body}: {answer}");
        let named: Vec<_> = answer["errors"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(named, fields, "{body}: {answer}");
    }
    let (id, _) = backend.adds(&receiver).await;
    let (status, full) = backend.send(Method::POST, HOOKS, &json!({"url": receiver.url})).await;
    assert_eq!((status.as_u16(), &full["errors"]["url"][0]), (422, &json!("A platform has at most 1 endpoints.")));
    let (status, _) = backend.send(Method::PATCH, &format!("{HOOKS}/{id}"), &json!({"url": "nowhere"})).await;
    assert_eq!(status.as_u16(), 422);
}

#[tokio::test]
async fn only_a_platforms_own_token_with_the_ability_gets_in() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    let (ana, _, _) = app.pair().await;
    let (eva, _, _) = app.pair_named("Other").await;
    let (backend, other) = (Backend::of(&ana).await, Backend::of(&eva).await);
    let (id, _) = backend.adds(&receiver).await;
    let routes = [
        (Method::GET, format!("{HOOKS}/{id}")),
        (Method::PATCH, format!("{HOOKS}/{id}")),
        (Method::DELETE, format!("{HOOKS}/{id}")),
        (Method::POST, format!("{HOOKS}/{id}/rotate")),
        (Method::GET, format!("{HOOKS}/{id}/deliveries")),
        (Method::GET, format!("{HOOKS}/{id}/deliveries/1")),
        (Method::POST, format!("{HOOKS}/{id}/replay")),
        (Method::GET, format!("{HOOKS}/x")),
        (Method::GET, format!("{HOOKS}/{}", i64::MAX)),
    ];
    for (method, path) in &routes {
        let (status, body) = other.send(method.clone(), path, &json!({})).await;
        assert_eq!((status.as_u16(), &body["message"]), (404, &json!("There is no such endpoint.")), "{method} {path}");
    }
    assert_eq!(other.shown(HOOKS).await, json!([]));
    // Who registers has not got the ability, and no platform is no platform.
    let email = Email::parse("op@example.test").unwrap();
    let chat = &app.app.chat;
    let nobody = chat.add_user(None, email, "Op".to_owned(), None, false, vec![Ability::any()]).await.unwrap();
    let nobody = chat.make_token(nobody, "test".to_owned(), vec![Ability::any()], None).await.unwrap().token;
    for (token, want) in [(ana.token.as_str(), 403), (nobody.as_str(), 403), ("1|none", 401), ("", 401)] {
        for path in [HOOKS.to_owned(), "/api/v1/events".to_owned(), format!("{HOOKS}/{id}")] {
            let (status, body) = answer(app.request(Method::GET, &path).bearer_auth(token)).await;
            assert_eq!(status.as_u16(), want, "{path}: {body}");
            assert!(body["message"].is_string() && body.get("errors").is_none(), "{body}");
        }
    }
    let (status, headers, _) = crate::support::app::whole_answer(app.request(Method::GET, HOOKS)).await;
    assert_eq!((status.as_u16(), headers["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
}

#[tokio::test]
async fn what_is_no_route_is_said_in_the_doors_own_words() {
    let app = server(|_| {}).await;
    let (ana, _, _) = app.pair().await;
    let backend = Backend::of(&ana).await;
    let say = async |method, path: &str, body: &Value| {
        let (status, answer) = backend.send(method, path, body).await;
        (status.as_u16(), answer["message"].as_str().unwrap_or_default().to_owned())
    };
    let none = (404, "There is no such route.".to_owned());
    assert_eq!(say(Method::GET, "/api/v1/webhooks/1/2/3/4", &json!({})).await, none);
    assert_eq!(say(Method::GET, "/api/v1/events/1", &json!({})).await, none);
    assert_eq!(say(Method::PUT, HOOKS, &json!({})).await.0, 405);
    assert_eq!(say(Method::POST, HOOKS, &json!([1])).await, (400, "The body is not an object.".to_owned()));
    let raw = app.request(Method::POST, HOOKS).bearer_auth(&backend.token).header("content-type", "application/json");
    let (status, body) = answer(raw.body("{")).await;
    assert!(status.as_u16() == 400 && body["message"].as_str().unwrap().starts_with("The body is not JSON"), "{body}");
    let large = json!({"url": "a".repeat(300_000)});
    assert_eq!(say(Method::POST, HOOKS, &large).await.0, 413);
}
