//! Sent, delivered, read: each comes once, stays, and is counted.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::TestApp;

#[tokio::test]
async fn receipts_only_move_forward() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let id = ana.says(&conversation, &rui, "hello").await;
    // Read without having been listed: it was delivered all the same.
    rui.send(Method::PATCH, &format!("messages/{id}/read"), Value::Null).await;
    let first = ana.lists(&conversation).await;
    assert_eq!(first[0]["status"], json!({"sent": true, "delivered": true, "read": true}));
    app.clock.advance(Duration::from_secs(3600));
    // An hour later nothing of it changes, whatever is done again.
    assert_eq!(rui.send(Method::PATCH, &format!("messages/{id}/read"), Value::Null).await.0, StatusCode::OK);
    assert_eq!(rui.post(&format!("conversations/{conversation}/read"), json!({})).await.0, StatusCode::OK);
    assert_eq!(rui.lists(&conversation).await, first);
    assert_eq!(ana.lists(&conversation).await, first);
    assert_eq!(rui.unread(&conversation).await, 0);
}

#[tokio::test]
async fn a_conversation_is_read_up_to_a_message() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let mut ids = Vec::new();
    for number in 1..=5 {
        ids.push(ana.says(&conversation, &rui, &format!("m{number}")).await);
    }
    let path = format!("conversations/{conversation}/read");
    let told = |marked: u64, left: u64| {
        let data = json!({"marked": marked, "unread_count": left});
        (StatusCode::OK, json!({"message": "Conversation marked as read", "data": data}))
    };
    assert_eq!(rui.post(&path, json!({"message_id": ids[2]})).await, told(3, 2));
    assert_eq!(rui.unread(&conversation).await, 2);
    assert_eq!(rui.post(&path, json!({"message_id": ids[1]})).await, told(0, 2), "never back");
    assert_eq!(ana.post(&path, json!({})).await, told(0, 0), "one's own do not wait for one");
    let read: Vec<_> = ana.lists(&conversation).await.iter().map(|m| m["status"]["read"] == true).collect();
    assert_eq!(read, [true, true, true, false, false]);
    assert_eq!(rui.post(&path, Value::Null).await.0, StatusCode::BAD_REQUEST, "null is no object");
    assert_eq!(rui.post(&path, json!({})).await, told(2, 0));
    assert!(rui.inbox().await[0]["participants"][1]["pivot"]["last_read_at"].is_string());
}

/// A page shows its caller what was delivered with it, as the whole list does.
#[tokio::test]
async fn a_page_delivers_too() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    ana.says(&conversation, &rui, "hello").await;
    let (_, page) = rui.get(&format!("conversations/{conversation}/messages?limit=1")).await;
    assert_eq!(page["data"][0]["status"], json!({"sent": true, "delivered": true, "read": false}));
    assert_eq!(ana.lists(&conversation).await[0]["status"]["delivered"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_right_when_everybody_writes_and_reads_at_once() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let say = async |number: usize| {
        let id = ana.says(&conversation, &rui, &format!("m{number}")).await;
        match number % 4 {
            0 => {
                rui.send(Method::PATCH, &format!("messages/{id}/read"), Value::Null).await;
            }
            1 => {
                rui.post(&format!("conversations/{conversation}/read"), json!({"message_id": id})).await;
            }
            2 => {
                ana.delete(&format!("messages/{id}")).await;
            }
            _ => {}
        }
    };
    futures_util::future::join_all((0..60).map(say)).await;
    let list = rui.lists(&conversation).await;
    assert_eq!(list.len(), 45);
    let waiting = list.iter().filter(|message| message["status"]["read"] == false).count();
    assert_eq!(rui.unread(&conversation).await, waiting as u64);
    assert_eq!(ana.unread(&conversation).await, 0);
    let (_, told) = rui.post(&format!("conversations/{conversation}/read"), json!({})).await;
    assert_eq!(told["data"], json!({"marked": waiting, "unread_count": 0}));
    assert_eq!(ana.get("stats/devices").await.1["data"], json!([{"_id": "web", "count": 45}]));
}
