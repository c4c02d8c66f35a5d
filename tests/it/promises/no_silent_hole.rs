//! No silent hole: whoever asks for what came after the last they saw never skips one, while many
//! write at once, by poll, long poll and stream.

use std::net::Ipv4Addr;
use std::sync::Arc;

use roost::chat::Draft;
use roost::domain::{MessageText, Role};

use crate::support::app::{PATIENCE, TestApp};

const MESSAGES: usize = 100_000;
const CHATS: usize = 4;
const WRITERS: usize = 40;

fn draft(text: String) -> Draft {
    Draft {
        role: Role::User,
        user_id: None,
        text: MessageText::verbatim(text),
        metadata: None,
        letter: None,
        key: None,
    }
}

/// Writers write through the use-case, so that most of the time goes to the log and not to the
/// test's own requests; the readers come in by the door.
async fn write_all(app: &TestApp, keys: &[String]) -> Vec<Vec<i64>> {
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let chat = Arc::clone(&app.app.chat);
        let key = keys[writer % keys.len()].clone();
        writers.push(tokio::spawn(async move {
            let channel = chat.live_chat(&key).await.unwrap();
            let mut ids = Vec::new();
            for count in 0..MESSAGES / WRITERS {
                ids.push(
                    chat.send(&channel, draft(format!("{writer}-{count}")), Ipv4Addr::LOCALHOST.into())
                        .await
                        .unwrap()
                        .message
                        .id
                        .0,
                );
            }
            ids
        }));
    }
    let mut ids = vec![Vec::new(); keys.len()];
    for (writer, task) in writers.into_iter().enumerate() {
        ids[writer % keys.len()].extend(task.await.unwrap());
    }
    ids.iter_mut().for_each(|ids| ids.sort_unstable());
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poller_skips_none_of_a_hundred_thousand() {
    let app = Arc::new(TestApp::start().await);
    let mut keys = Vec::new();
    for _ in 0..CHATS {
        keys.push(app.guest().await.key);
    }
    let total = MESSAGES / CHATS;
    let mut readers = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        let (app, key) = (Arc::clone(&app), key.clone());
        readers.push(tokio::spawn(async move {
            match number {
                0 => poll(&app, &key, total, "").await,
                1 => poll(&app, &key, total, "&wait=20").await,
                _ => stream(&app, &key, total).await,
            }
        }));
    }
    let written = write_all(&app, &keys).await;
    for (number, reader) in readers.into_iter().enumerate() {
        // What a reader has skipped it never asks for again, so it would be missing here.
        let seen = tokio::time::timeout(PATIENCE * 3, reader).await.expect("a reader that skipped one waits for ever");
        assert_eq!(seen.unwrap(), written[number], "reader {number}");
    }
}

async fn poll(app: &TestApp, key: &str, total: usize, wait: &str) -> Vec<i64> {
    let mut seen: Vec<i64> = Vec::new();
    while seen.len() < total {
        let after = seen.last().copied().unwrap_or(0);
        let path = format!("/api/v1/chat/guest/{key}/messages?last_message_id={after}{wait}");
        let (_, body) = app.get(&path).await;
        for message in body["data"].as_array().unwrap_or_else(|| panic!("{body}")) {
            let id = message["id"].as_i64().unwrap();
            assert!(seen.last().is_none_or(|last| *last < id), "in order");
            seen.push(id);
        }
    }
    seen
}

/// Follows, drops the connection now and then, and resumes where it was.
async fn stream(app: &TestApp, key: &str, total: usize) -> Vec<i64> {
    let mut seen: Vec<i64> = Vec::new();
    while seen.len() < total {
        let after = seen.last().copied().unwrap_or(0);
        let request = app.client.get(format!("{}/api/v1/chat/guest/{key}/events", app.url));
        let mut events = crate::support::sse::Events::open(request.header("last-event-id", after)).await;
        for _ in 0..total / 10 {
            if seen.len() == total {
                break;
            }
            let event = events.next_of("message").await.expect("the stream goes on");
            seen.push(event.id.unwrap());
        }
    }
    seen
}
