//! Requests that are sent again, because the answer was lost.

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::texts;
use crate::support::app::TestApp;
use crate::support::pigeon::Pigeon;

fn is_replay(headers: &HeaderMap) -> bool {
    headers.get("idempotent-replayed").is_some_and(|value| value == "true")
}

#[tokio::test]
async fn a_retry_is_told_of_its_message_also_after_a_restart() {
    let mut app = TestApp::start().await;
    let (first, conversation, ana, rui) = {
        let (ana, rui, conversation) = app.pair().await;
        let body = ana.message(&conversation, &rui, "once");
        let (status, headers, told) = ana.retries("messages", "key", &body).await;
        assert_eq!((status, is_replay(&headers)), (StatusCode::CREATED, false));
        // What becomes of it is not what the retry asks.
        let id = told["data"]["message_id"].as_str().unwrap();
        rui.send(Method::PATCH, &format!("messages/{id}/read"), Value::Null).await;
        rui.post(&format!("messages/{id}/reactions"), json!({"emoji": "🚲"})).await;
        (told, conversation, (ana.platform, ana.user, ana.token), (rui.platform, rui.user, rui.token))
    };
    app.restart().await;
    let pigeon = |(platform, user, token)| Pigeon { app: &app, platform, user, token };
    let (ana, rui) = (pigeon(ana), pigeon(rui));
    let (status, headers, told) = ana.retries("messages", "key", &ana.message(&conversation, &rui, "once")).await;
    assert_eq!((status, is_replay(&headers), &told), (StatusCode::CREATED, true, &first));
    assert_eq!(texts(&rui.lists(&conversation).await), ["once"]);
    // The other user's key is another one.
    let (_, headers, _) = rui.retries("messages", "key", &rui.message(&conversation, &ana, "once")).await;
    assert!(!is_replay(&headers));
}

#[tokio::test]
async fn a_key_stands_for_one_body() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let eve = app.pigeon(&ana.platform, "Eve").await;
    let message = ana.message(&conversation, &rui, "once");
    let change = |field: &str, value: Value| {
        let mut body = message.clone();
        body[field] = value;
        body
    };
    let used = json!({"message": "This Idempotency-Key was used with another body. Use a new key for a new request."});
    assert_eq!(ana.retries("messages", "key", &message).await.0, StatusCode::CREATED);
    for other in [
        change("context_text", json!("twice")),
        change("context_type", json!("image")),
        change("metadata", json!({"a": 1})),
        change("attachments", json!([{"a": 1}])),
        change("device", json!({"type": "web", "os": "Windows"})),
    ] {
        let (status, _, told) = ana.retries("messages", "key", &other).await;
        assert_eq!((status, &told), (StatusCode::CONFLICT, &used), "{other}");
    }
    assert_eq!(ana.lists(&conversation).await.len(), 1);

    let open =
        |other: &Pigeon<'_>| json!({"participant_uuid": other.uuid(), "taggable_type": "Order", "taggable_id": 7});
    let (status, headers, mut first) = ana.retries("conversations", "key", &open(&rui)).await;
    assert_eq!((status, is_replay(&headers)), (StatusCode::CREATED, false));
    let (status, headers, again) = ana.retries("conversations", "key", &open(&rui)).await;
    // To open it again renews it, perhaps in the next second.
    assert!(first["data"]["updated_at"].as_str() <= again["data"]["updated_at"].as_str());
    first["data"]["updated_at"] = again["data"]["updated_at"].clone();
    assert_eq!((status, is_replay(&headers), again), (StatusCode::CREATED, true, first));
    let (status, _, told) = ana.retries("conversations", "key", &open(&eve)).await;
    assert_eq!((status, &told), (StatusCode::CONFLICT, &used));
    let (_, headers, _) = rui.retries("conversations", "key", &open(&eve)).await;
    assert!(!is_replay(&headers), "keys are their user's own");
    // A body that was refused has not used its key up.
    let nobody = json!({"participant_uuid": ana.uuid()});
    assert_eq!(ana.retries("conversations", "fresh", &nobody).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(ana.retries("conversations", "fresh", &open(&eve)).await.0, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_retries_at_once_store_one() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let message = ana.message(&conversation, &rui, "once");
    let told = futures_util::future::join_all((0..50).map(|_| ana.retries("messages", "key", &message))).await;
    assert!(told.iter().all(|(status, ..)| *status == StatusCode::CREATED));
    assert_eq!(told.iter().filter(|(_, headers, _)| !is_replay(headers)).count(), 1);
    assert!(told.iter().all(|(_, _, body)| *body == told[0].2));
    assert_eq!((rui.lists(&conversation).await.len(), rui.unread(&conversation).await), (1, 1));
    // Two users who open the same conversation at once get one.
    let opening = (0..50).map(|at| if at % 2 == 0 { ana.opens(&rui) } else { rui.opens(&ana) });
    let opened = futures_util::future::join_all(opening).await;
    assert!(opened.iter().all(|uuid| *uuid == conversation));
}

#[tokio::test]
async fn a_key_is_visible_ascii() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    for (path, body) in [
        ("messages", ana.message(&conversation, &rui, "x")),
        ("conversations", json!({"participant_uuid": rui.uuid()})),
    ] {
        for key in ["", "with space", "schlüssel", &"k".repeat(256)] {
            let (status, _, told) = ana.retries(path, key, &body).await;
            let want =
                json!({"Idempotency-Key": ["The Idempotency-Key header must be 1 to 255 visible ASCII characters."]});
            assert_eq!((status, &told["errors"]), (StatusCode::UNPROCESSABLE_ENTITY, &want));
        }
    }
    assert!(ana.lists(&conversation).await.is_empty());
}

/// Nobody reads a message to an account that is gone; what was sent while it was there was sent.
#[tokio::test]
async fn who_is_gone_gets_no_message_but_a_retry_is_told_of_its_own() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let message = ana.message(&conversation, &rui, "once");
    let (_, _, first) = ana.retries("messages", "key", &message).await;
    app.app.chat.set_active(rui.user.id, false).await.unwrap();
    let told = (StatusCode::NOT_FOUND, json!({"message": "User not found"}));
    assert_eq!(ana.post("messages", ana.message(&conversation, &rui, "twice")).await, told);
    let (status, _, refused) = ana.retries("messages", "other", &message).await;
    assert_eq!((status, refused), told);
    let (status, headers, again) = ana.retries("messages", "key", &message).await;
    assert_eq!((status, is_replay(&headers), again), (StatusCode::CREATED, true, first));
    assert_eq!(texts(&ana.lists(&conversation).await), ["once"], "what there is stays");
    app.app.chat.set_active(rui.user.id, true).await.unwrap();
    assert_eq!(ana.post("messages", message).await.0, StatusCode::CREATED);
}
