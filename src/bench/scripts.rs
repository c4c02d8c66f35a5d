//! What each profile sends, and what must come back.

use uuid::Uuid;

use super::client::{get, post};
use super::load::{Expect, Script, send_all};
use super::preload::{Preloaded, TEXT};
use super::server::Server;
use crate::clock::Clock;
use crate::error::{Error, Result};

/// The empty handler beside which the others stand.
pub fn livez(server: &Server) -> Script {
    Script { requests: vec![get(&server.host, "/livez")], expect: vec![Expect { status: 200, needle: b"", times: 0 }] }
}

/// Guests who send.
///
/// # Errors
/// When the sessions cannot be opened.
pub async fn send(server: &Server, clock: &Clock, sessions: usize, clients: usize) -> Result<Script> {
    let keys = open_sessions(server, clock, sessions, clients).await?;
    let requests = keys.iter().map(|key| send_request(server, key)).collect();
    Ok(Script { requests, expect: vec![Expect { status: 200, needle: br#""success":true"#, times: 1 }] })
}

/// Guests who poll for what came after their last message but `new`, having `stored` messages.
///
/// # Errors
/// When the messages cannot be sent.
pub async fn poll(
    server: &Server,
    clock: &Clock,
    sessions: usize,
    clients: usize,
    (stored, new): (usize, usize),
) -> Result<Script> {
    let keys = open_sessions(server, clock, sessions, clients).await?;
    let all: Vec<_> = keys.iter().flat_map(|key| std::iter::repeat_n(send_request(server, key), stored)).collect();
    let answers = send_all(server.address, all, clients).await?;
    let mut requests = Vec::with_capacity(sessions);
    for (key, answers) in keys.iter().zip(answers.chunks(stored)) {
        let mut ids = answers.iter().map(|answer| sent_id(answer)).collect::<Result<Vec<_>>>()?;
        ids.sort_unstable();
        let cursor = ids[ids.len() - 1 - new];
        requests.push(get(&server.host, &format!("/api/v1/chat/guest/{key}/messages?last_message_id={cursor}")));
    }
    Ok(Script { requests, expect: vec![Expect { status: 200, needle: br#""chat_session_id":"#, times: new }] })
}

/// Readers of pages out of the middle of one conversation.
pub fn page(server: &Server, conversation: &Preloaded) -> Script {
    const PAGE: usize = 50;
    let key = &conversation.key;
    let path = |before: &Uuid| format!("/api/chats/messages/?session_id={key}&limit={PAGE}&before={before}");
    let requests = conversation.middle.iter().map(|before| get(&server.host, &path(before))).collect();
    Script { requests, expect: vec![Expect { status: 200, needle: br#""role":"#, times: PAGE }] }
}

/// A conversation of `rows` messages, stored through the server.
///
/// # Errors
/// When the messages cannot be sent.
pub async fn converse(server: &Server, clock: &Clock, rows: usize, clients: usize) -> Result<Preloaded> {
    let key = clock.uuid().to_string();
    let open = post(&server.host, "/api/chats/sessions/", &format!(r#"{{"session_id":"{key}"}}"#));
    send_all(server.address, vec![open], 1).await?;
    let body = format!(r#"{{"session_id":"{key}","message":"{TEXT}","role":"user"}}"#);
    let say = post(&server.host, "/api/chats/messages/", &body);
    let answers = send_all(server.address, vec![say; rows], clients).await?;
    let middle = answers[rows / 4..rows - rows / 4].iter().map(|answer| field(answer, "/id"));
    let middle = middle.map(|id| id?.as_str().and_then(|id| Uuid::try_parse(id).ok()).ok_or_else(no_field));
    Ok(Preloaded { key, middle: middle.collect::<Result<_>>()?, ..Preloaded::default() })
}

async fn open_sessions(server: &Server, clock: &Clock, sessions: usize, clients: usize) -> Result<Vec<String>> {
    let keys: Vec<_> = (0..sessions).map(|_| clock.uuid().to_string()).collect();
    let open =
        |key: &String| post(&server.host, "/api/v1/chat/guest/session", &format!(r#"{{"session_key":"{key}"}}"#));
    send_all(server.address, keys.iter().map(open).collect(), clients).await?;
    Ok(keys)
}

fn send_request(server: &Server, key: &str) -> Vec<u8> {
    post(&server.host, &format!("/api/v1/chat/guest/{key}/message"), &format!(r#"{{"message":"{TEXT}"}}"#))
}

fn sent_id(answer: &[u8]) -> Result<u64> {
    field(answer, "/data/id")?.as_u64().ok_or_else(no_field)
}

fn field(answer: &[u8], pointer: &str) -> Result<serde_json::Value> {
    let answer: serde_json::Value = serde_json::from_slice(answer).map_err(Error::internal)?;
    answer.pointer(pointer).cloned().ok_or_else(no_field)
}

fn no_field() -> Error {
    Error::internal("an answer to a sent message does not tell its id")
}
