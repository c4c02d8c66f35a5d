//! What an endpoint is told: each event once, in order a conversation, signed, over every failure.

use roost::chat::WebhookDraft;
use roost::domain::{DeliveryState, EventId, HookForm};
use serde_json::json;

use super::{Backend, server};
use crate::support::receiver::{Answer, Heard, Receiver};

#[tokio::test]
async fn a_platforms_backend_is_told_what_happens_in_its_conversations() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let backend = Backend::of(&ana).await;
    let (_, secret) = backend.adds(&receiver).await;
    let first = ana.says(&conversation, &rui, "olá").await;
    let (status, _) = rui.post(&format!("conversations/{conversation}/read"), json!({})).await;
    assert!(status.is_success());
    let reaction = json!({"emoji": "👍"});
    assert!(rui.post(&format!("messages/{first}/reactions"), reaction).await.0.is_success());
    let edit = json!({"context_text": "olá!"});
    assert!(ana.send(reqwest::Method::PATCH, &format!("messages/{first}"), edit).await.0.is_success());
    assert!(rui.delete(&format!("messages/{first}/reactions/%F0%9F%91%8D")).await.0.is_success());
    // Nobody else's: another platform's, and a guest's.
    let (eva, tom, other) = app.pair_named("Other").await;
    eva.says(&other, &tom, "a secret of others").await;
    app.guest().await.says("a guest's secret").await;
    app.crank().await;
    let heard = receiver.heard();
    let kinds: Vec<_> = heard.iter().map(|heard| heard.json()["type"].as_str().unwrap().to_owned()).collect();
    let want = ["message.created", "receipt.read", "reaction.added", "message.edited", "reaction.removed"];
    assert_eq!(kinds, want);
    assert!(heard.iter().all(|heard| heard.is_signed_by(&secret)), "{heard:?}");
    let body = heard[3].json();
    let number: i64 = first.trim_start_matches("msg_").parse().unwrap();
    assert_eq!(heard[0].id(), format!("evt_{number}"));
    assert_eq!(heard[3].header("content-type"), Some("application/json"));
    assert_eq!((&body["id"], body["cursor"].as_i64().unwrap() > number), (&json!(heard[3].id()), true));
    assert_eq!(body["conversation"], json!({"uuid": conversation, "kind": "direct", "seq": 4}));
    let message = &body["data"]["message"];
    assert_eq!(
        (&message["text"], &message["user"], &message["id"]),
        (&json!("olá!"), &json!(ana.uuid()), &json!(number))
    );
    assert_eq!(message["letter"]["receiver"], json!(rui.uuid()));
    assert_eq!(heard[2].json()["data"], json!({"message_id": number, "user": rui.uuid(), "emoji": "👍"}));
    assert_eq!(app.crank().await, 0, "each once");
    assert_eq!(app.figure("webhook_delivered_total").await as u64, 5);
}

#[tokio::test]
async fn the_operator_is_told_of_guests_and_sessions_and_of_nobodys_own_chats() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    app.operators(&receiver).await;
    let guest = app.guest().await;
    guest.says("hello").await;
    let (_, session) = app.post("/api/chats/sessions/", json!({})).await;
    let body = json!({"session_id": session["id"], "message": "a question", "role": "user"});
    assert_eq!(app.post("/api/chats/messages/", body).await.0.as_u16(), 201);
    let (ana, rui, conversation) = app.pair().await;
    ana.says(&conversation, &rui, "a platform's").await;
    app.crank().await;
    // Different conversations go side by side, in any order.
    let told = |heard: &Heard| format!("{}: {}", heard.json()["conversation"]["kind"], heard.text());
    let told = sorted(receiver.heard().iter().map(told).collect());
    assert_eq!(told, ["\"assistant_session\": a question", "\"live_chat\": hello"]);
}

#[tokio::test]
async fn a_failure_is_repeated_with_the_same_id_and_holds_up_its_own_conversation_only() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    let hook = app.operators(&receiver).await;
    let (one, two) = (app.guest().await, app.guest().await);
    for text in ["one 1", "one 2", "one 3"] {
        one.says(text).await;
    }
    for text in ["two 1", "two 2"] {
        two.says(text).await;
    }
    receiver.answers(|heard| Answer::Status(if heard.text() == "one 1" { 503 } else { 200 }));
    app.crank().await;
    assert_eq!(sorted(receiver.texts()), ["one 1", "two 1", "two 2"]);
    assert_eq!(app.crank().await, 0, "its time has not come");
    // Each wait is three times the one before.
    for (seconds, want) in [(3, 0), (3, 1), (11, 0), (7, 1), (33, 0), (21, 1)] {
        app.waits(seconds).await;
        assert_eq!(app.crank().await, want, "after {seconds} more seconds");
    }
    assert!(app.hook(hook.id.0).await.failing_since.is_some());
    receiver.answers(|_| Answer::Status(200));
    app.waits(200).await;
    assert_eq!(app.crank().await, 3);
    let of_one: Vec<_> = receiver.heard().into_iter().filter(|heard| heard.text().starts_with("one")).collect();
    let texts: Vec<_> = of_one.iter().map(Heard::text).collect();
    assert_eq!(texts, ["one 1", "one 1", "one 1", "one 1", "one 1", "one 2", "one 3"]);
    assert!(of_one[..5].iter().all(|heard| heard.id() == of_one[0].id()), "the id is stable");
    let seconds: Vec<i64> = of_one.iter().map(|h| h.header("webhook-timestamp").unwrap().parse().unwrap()).collect();
    assert!(seconds[4] > seconds[0], "each try is signed anew");
    assert!(app.hook(hook.id.0).await.failing_since.is_none(), "and all is well again");
}

#[tokio::test]
async fn an_endpoint_that_asks_for_time_is_left_alone_so_long_within_bounds() {
    let app = server(|config| config.webhooks.retry_longest_s = 600).await;
    let receiver = Receiver::start().await;
    app.operators(&receiver).await;
    app.guest().await.says("hello").await;
    receiver.answers(|_| Answer::Later(100));
    assert_eq!(app.crank().await, 1);
    for (seconds, want) in [(99, 0), (2, 1)] {
        app.waits(seconds).await;
        assert_eq!(app.crank().await, want, "after {seconds} more seconds");
    }
    // Not for longer than the longest wait, and not sooner than it would be tried anyway.
    receiver.answers(|_| Answer::Later(u64::MAX));
    app.waits(101).await;
    assert_eq!(app.crank().await, 1);
    receiver.answers(|_| Answer::Later(1));
    for (seconds, want) in [(599, 0), (2, 1), (2, 0), (200, 1)] {
        app.waits(seconds).await;
        assert_eq!(app.crank().await, want, "after {seconds} more seconds");
    }
}

#[tokio::test]
async fn who_has_a_long_log_to_look_through_holds_up_no_other() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    let guest = app.guest().await;
    // More than two pages of the log.
    for number in 0..600 {
        guest.says(&format!("{number}")).await;
    }
    let draft = WebhookDraft {
        url: receiver.url.clone(),
        form: HookForm::Standard,
        kinds: vec!["reaction.added".to_owned()],
        after: Some(EventId::START),
    };
    app.app.chat.add_webhook(None, draft.clone()).await.expect("an endpoint");
    let draft = WebhookDraft { kinds: Vec::new(), after: None, ..draft };
    let other = app.app.chat.add_webhook(None, draft).await.expect("an endpoint");
    guest.says("new").await;
    let took = app.app.outbox.take().await.expect("a page");
    assert!(took.is_more && took.is_followed, "{took:?}");
    assert_eq!(app.hook(other.id.0).await.open, 1, "what others are told is there to be sent meanwhile");
    assert_eq!(app.crank().await, 1);
    assert_eq!(receiver.texts(), ["new"]);
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[tokio::test]
async fn an_endpoint_that_is_silent_hangs_up_or_never_ends_is_a_failure_and_no_hang() {
    for (answer, status) in [(Answer::Silence, None), (Answer::HangUp, None)] {
        let app = server(|_| {}).await;
        let receiver = Receiver::start().await;
        let hook = app.operators(&receiver).await;
        app.guest().await.says("hello").await;
        receiver.answers(move |_| answer.clone());
        assert_eq!(app.crank().await, 1);
        let delivery = deliveries(&app, hook.id.0).await.remove(0);
        assert_eq!((delivery.state, delivery.last_status), (DeliveryState::Due, status));
        assert!(delivery.last_error.is_some());
        receiver.answers(|_| Answer::Status(200));
        app.waits(10).await;
        assert_eq!(app.crank().await, 1);
        assert!(receiver.heard().iter().all(|heard| heard.text() == "hello"));
    }
    // Whatever follows a status that says yes is not waited for for ever.
    for answer in [Answer::Endless, Answer::Bodiless] {
        let app = server(|_| {}).await;
        let receiver = Receiver::start().await;
        let hook = app.operators(&receiver).await;
        app.guest().await.says("hello").await;
        receiver.answers(move |_| answer.clone());
        assert_eq!(app.crank().await, 1);
        assert_eq!(deliveries(&app, hook.id.0).await[0].state, DeliveryState::Delivered);
    }
}

async fn deliveries(app: &crate::support::app::TestApp, id: i64) -> Vec<roost::domain::Delivery> {
    let filter = roost::chat::DeliveryFilter { state: None, before: None, limit: 100 };
    let owner = roost::chat::HookOwner::Anybody;
    app.app.chat.deliveries(owner, roost::domain::WebhookId(id), filter).await.expect("deliveries")
}

#[tokio::test]
async fn what_was_deleted_before_it_is_told_is_not_told() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    let (ana, rui, conversation) = app.pair().await;
    Backend::of(&ana).await.adds(&receiver).await;
    receiver.answers(|_| Answer::Status(500));
    let message = ana.says(&conversation, &rui, "a word too much").await;
    app.crank().await;
    assert_eq!(receiver.texts(), ["a word too much"]);
    assert!(ana.delete(&format!("messages/{message}")).await.0.is_success());
    receiver.answers(|_| Answer::Status(200));
    app.waits(10).await;
    app.crank().await;
    let heard = receiver.heard();
    assert_eq!(heard[1].id(), heard[0].id());
    assert_eq!(
        (&heard[1].json()["type"], &heard[1].json()["data"]),
        (&json!("message.created"), &json!({"message": null}))
    );
    assert_eq!(heard[2].json()["type"], "message.deleted");
}

#[tokio::test]
async fn a_slow_endpoint_holds_up_no_other() {
    let app = server(|config| config.webhooks.at_once = 4).await;
    let (slow, quick) = (Receiver::start().await, Receiver::start().await);
    slow.answers(|_| Answer::Silence);
    app.operators(&slow).await;
    app.operators(&quick).await;
    for _ in 0..8 {
        app.guest().await.says("hello").await;
    }
    app.crank().await;
    assert_eq!((quick.heard().len(), slow.heard().len()), (8, 8));
    // Half of each round's places are the quick one's, so that it is through when the slow one is half way.
    let listed = deliveries(&app, 1).await;
    assert!(listed.iter().all(|delivery| delivery.attempts == 1 && delivery.state == DeliveryState::Due));
}

#[tokio::test]
async fn what_an_endpoint_has_no_room_for_waits_in_the_log() {
    let app = server(|config| config.webhooks.open_max = 1).await;
    let receiver = Receiver::start().await;
    let hook = app.operators(&receiver).await;
    let guest = app.guest().await;
    receiver.answers(|_| Answer::Status(500));
    // More than one page of the log.
    for number in 0..300 {
        guest.says(&format!("{number}")).await;
    }
    app.crank().await;
    let held = app.hook(hook.id.0).await;
    assert_eq!(held.open, 256, "one page, and no more while it is there");
    receiver.answers(|_| Answer::Status(200));
    app.waits(10).await;
    app.crank().await;
    let told: Vec<_> = receiver.texts().split_off(1);
    assert_eq!(told, (0..300).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_endpoint_hears_of_the_types_it_wants_only() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let backend = Backend::of(&ana).await;
    let body = json!({"url": receiver.url, "types": ["reaction.added"]});
    assert_eq!(backend.send(reqwest::Method::POST, super::HOOKS, &body).await.0.as_u16(), 201);
    let message = ana.says(&conversation, &rui, "hello").await;
    assert!(rui.post(&format!("messages/{message}/reactions"), json!({"emoji": "👍"})).await.0.is_success());
    app.crank().await;
    assert_eq!(
        receiver.heard().iter().map(|heard| heard.json()["type"].clone()).collect::<Vec<_>>(),
        ["reaction.added"]
    );
}
