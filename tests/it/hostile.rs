//! What nobody should send. Each is answered with a clear refusal in the door's own envelope, or
//! the connection is closed; the server lives on.

mod bodies;
mod chats;
mod connections;
mod heads;
mod paths;

use reqwest::StatusCode;
use serde_json::Value;

use crate::support::app::TestApp;
use crate::support::raw::{Answer, Raw};

/// The message route of a session that exists.
const SEND: &str = "/api/v1/chat/guest/k-hostile/message";

/// A server with that session.
async fn server(change: impl FnOnce(&mut roost::config::Config)) -> TestApp {
    let app = TestApp::with(change).await;
    let body = serde_json::json!({"session_key": "k-hostile"});
    assert_eq!(app.post("/api/v1/chat/guest/session", body).await.0, StatusCode::CREATED);
    app
}

async fn assert_alive(app: &TestApp) {
    assert_eq!(app.get("/livez").await.0, StatusCode::OK);
}

/// Fails unless it is a refusal in the guest door's envelope; returns its code.
fn refusal(status: u16, body: &Value) -> String {
    assert!((400..500).contains(&status), "{status} {body}");
    let keys: Vec<_> = body.as_object().unwrap_or_else(|| panic!("no envelope: {body}")).keys().collect();
    assert_eq!(keys, ["data", "error", "message", "meta", "success", "timestamp", "trace_id"], "{body}");
    assert_eq!((&body["success"], &body["data"]), (&Value::Bool(false), &Value::Null));
    body["error"]["code"].as_str().expect("a code").to_owned()
}

/// Sends bytes on a connection of their own: the first answer, or `None` for a close.
async fn hear(app: &TestApp, bytes: impl AsRef<[u8]>) -> Option<Answer> {
    let mut raw = Raw::connect(&app.url).await;
    raw.send(bytes).await;
    raw.answer().await
}
