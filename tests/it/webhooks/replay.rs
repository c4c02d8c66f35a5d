//! Giving up, switching off, the delivery log, and telling again.

use reqwest::Method;
use roost::domain::DeliveryState;
use serde_json::json;

use super::{Backend, HOOKS, server};
use crate::support::receiver::{Answer, Receiver};

#[tokio::test]
async fn what_was_given_up_is_listed_and_told_again_when_asked() {
    let app = server(|config| config.webhooks.retry_hours = 1).await;
    let receiver = Receiver::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let backend = Backend::of(&ana).await;
    let (id, _) = backend.adds(&receiver).await;
    receiver.answers(|heard| Answer::Status(if heard.text() == "no" { 500 } else { 200 }));
    ana.says(&conversation, &rui, "no").await;
    ana.says(&conversation, &rui, "yes").await;
    for _ in 0..20 {
        app.crank().await;
        app.waits(600).await;
    }
    let path = format!("{HOOKS}/{id}");
    let listed = backend.shown(&format!("{path}/deliveries")).await;
    let state = |at: usize| (listed[at]["state"].clone(), listed[at]["last_status"].clone());
    assert_eq!(state(0), (json!("delivered"), json!(200)));
    assert_eq!(state(1), (json!("failed"), json!(500)));
    assert_eq!(listed[1]["last_error"], "answered 500");
    assert_eq!(backend.shown(&format!("{path}/deliveries?state=failed")).await, json!([listed[1]]));
    assert_eq!(backend.shown(&format!("{path}/deliveries?before={}", listed[0]["id"])).await, json!([listed[1]]));
    assert_eq!(backend.shown(&format!("{path}/deliveries?limit=1")).await, json!([listed[0]]));
    assert_eq!(backend.get(&format!("{path}/deliveries?state=lost")).await.0.as_u16(), 422);
    let failed = listed[1]["id"].as_i64().unwrap();
    let attempts = backend.shown(&format!("{path}/deliveries/{failed}")).await;
    let attempts = attempts.as_array().unwrap();
    assert_eq!(attempts.len() as u64, listed[1]["attempts"].as_u64().unwrap());
    assert!(attempts.len() >= 4 && attempts.iter().all(|attempt| attempt["status"] == 500), "{attempts:?}");
    assert_eq!(backend.get(&format!("{path}/deliveries/9999")).await.0.as_u16(), 404);

    receiver.answers(|_| Answer::Status(200));
    let replay = async |body| {
        let (status, answer) = backend.send(Method::POST, &format!("{path}/replay"), &body).await;
        (status.as_u16(), answer["data"]["replayed"].clone())
    };
    let cursor = listed[1]["cursor"].as_i64().unwrap();
    assert_eq!(replay(json!({"after": cursor})).await, (202, json!(0)), "nothing after it failed");
    assert_eq!(replay(json!({})).await, (202, json!(1)));
    assert_eq!(app.crank().await, 1);
    assert_eq!(receiver.heard().last().unwrap().id(), listed[1]["event_id"].as_str().unwrap(), "the same id");
    assert_eq!(replay(json!({})).await, (202, json!(0)), "it failed no more");
    assert_eq!(replay(json!({"delivery": failed})).await, (202, json!(1)), "one is told again however it ended");
    assert_eq!(app.crank().await, 1);
    assert_eq!(replay(json!({"delivery": 9999})).await.0, 404);
    assert_eq!(replay(json!({"after": "x"})).await.0, 422);
}

#[tokio::test]
async fn what_was_never_posted_does_not_count_against_an_endpoint() {
    let app = server(|config| {
        config.webhooks.disable_after_hours = 48;
        config.webhooks.body_bytes_max = 1000;
    })
    .await;
    let receiver = Receiver::start().await;
    let hook = app.operators(&receiver).await;
    let guest = app.guest().await;
    guest.says(&"x".repeat(1000)).await;
    app.crank().await;
    assert!(receiver.heard().is_empty());
    assert_eq!(app.hook(hook.id.0).await.failing_since, None);
    app.waits(72 * 3600).await;
    guest.says("short").await;
    receiver.answers(|_| Answer::Status(500));
    app.crank().await;
    assert_eq!(app.hook(hook.id.0).await.disabled, None, "it failed once");
}

#[tokio::test]
async fn an_endpoint_that_fails_for_days_is_switched_off_with_its_reason() {
    let app = server(|config| config.webhooks.disable_after_hours = 48).await;
    let receiver = Receiver::start().await;
    let hook = app.operators(&receiver).await;
    receiver.answers(|_| Answer::Status(500));
    let guest = app.guest().await;
    for _ in 0..60 {
        guest.says("hello").await;
        app.crank().await;
        app.waits(3600).await;
    }
    let off = app.hook(hook.id.0).await.disabled.expect("it is off");
    assert_eq!(off.why, "it failed for 48 hours: answered 500");
    let heard = receiver.heard().len();
    guest.says("and still").await;
    assert_eq!(app.crank().await, 0);
    assert_eq!(receiver.heard().len(), heard);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_for_good_is_switched_off_at_once() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    let hook = app.operators(&receiver).await;
    receiver.answers(|_| Answer::Status(410));
    app.guest().await.says("hello").await;
    app.crank().await;
    let off = app.hook(hook.id.0).await.disabled.expect("it is off");
    assert!(off.why.contains("410"), "{off:?}");
}

#[tokio::test]
async fn a_delivery_of_a_conversation_that_was_removed_is_given_up() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    let hook = app.operators(&receiver).await;
    receiver.answers(|_| Answer::Status(500));
    let (_, session) = app.post("/api/chats/sessions/", json!({})).await;
    let body = json!({"session_id": session["id"], "message": "forget me", "role": "user"});
    assert_eq!(app.post("/api/chats/messages/", body).await.0.as_u16(), 201);
    app.crank().await;
    let path = format!("/api/chats/sessions/{}/", session["id"].as_str().unwrap());
    assert_eq!(app.request(Method::DELETE, &path).send().await.unwrap().status().as_u16(), 204);
    app.waits(10).await;
    app.crank().await;
    assert_eq!(receiver.heard().len(), 1);
    let filter = roost::chat::DeliveryFilter { state: None, before: None, limit: 10 };
    let listed = app.app.chat.deliveries(roost::chat::HookOwner::Anybody, hook.id, filter).await.unwrap();
    assert_eq!(
        (listed[0].state, listed[0].last_error.as_deref()),
        (DeliveryState::Failed, Some("the conversation was removed"))
    );
}

#[tokio::test]
async fn old_deliveries_leave_the_list() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    app.operators(&receiver).await;
    app.guest().await.says("hello").await;
    app.crank().await;
    assert_eq!(app.app.outbox.prune().await.unwrap(), 0);
    app.waits(15 * 24 * 3600).await;
    assert_eq!(app.app.outbox.prune().await.unwrap(), 1);
}
