//! The log of a busy run: whoever complains is found in it, and nobody's secrets are.

use roost::local::Output;

use serde_json::{Value, json};

use super::{client, plain, run, said};
use crate::support::app::PATIENCE;
use crate::support::process::{Process, roost};
use crate::support::sse::Events;
use crate::support::temp::TempDir;

const KEY: &str = "secret-session-key-0001";
const PASSWORD: &str = "secret password 0002";
const TEXT: &str = "secret message 0003";
const ADDRESS: &str = "203.0.113.77";
const EMAIL: &str = "secret-0004@example.test";

/// Does a bit of everything, well and badly; returns a token that was used.
async fn be_busy(url: &str, client: &reqwest::Client) -> String {
    let post = |path: &str, body: Value| {
        let request = client.post(format!("{url}{path}")).header("x-forwarded-for", ADDRESS);
        request.header("x-request-id", "trace-0005").header("idempotency-key", "secret-0006").json(&body).send()
    };
    let get = |path: String| client.get(format!("{url}{path}")).header("x-forwarded-for", ADDRESS);
    let message = json!({"message": TEXT, "session_key": KEY});
    post("/api/v1/chat/guest/session", json!({"session_key": KEY, "guest_name": TEXT, "guest_email": EMAIL}))
        .await
        .unwrap();
    post(&format!("/api/v1/chat/guest/{KEY}/message"), message.clone()).await.unwrap();
    post(&format!("/api/v1/chat/guest/{KEY}/message"), json!({"message": [TEXT]})).await.unwrap();
    post(&format!("/api/v1/chat/guest/{KEY}/nowhere"), message.clone()).await.unwrap();
    post(&format!("/api/v1/chat/guest/{KEY}-unknown/message"), message.clone()).await.unwrap();
    post("/api/v1/chatbot", message.clone()).await.unwrap();
    post("/api/chats/sessions/", json!({"session_id": KEY, "metadata": {"note": TEXT}})).await.unwrap();
    for rest in ["chat/", "chat/stream/"] {
        let asked =
            post(&format!("/api/chats/messages/{rest}"), json!({"session_id": KEY, "message": TEXT})).await.unwrap();
        asked.text().await.unwrap();
    }
    post("/api/v1/auth/login", json!({"email": EMAIL, "password": "secret wrong 0007"})).await.unwrap();
    let signed: Value =
        post("/api/v1/auth/login", json!({"email": EMAIL, "password": PASSWORD})).await.unwrap().json().await.unwrap();
    let token = signed["data"]["token"].as_str().expect("a token").to_owned();
    for path in [
        format!("/api/v1/chat/guest/{KEY}/history"),
        format!("/api/v1/chat/admin/{KEY}/messages"),
        format!("/api/v1/chatbot/history?session_key={KEY}"),
        format!("/{KEY}"),
    ] {
        get(path).bearer_auth(&token).send().await.unwrap();
    }
    let mut events = Events::open(get(format!("/api/v1/chat/guest/{KEY}/events?last_event_id=0"))).await;
    events.next_of("message").await.expect("a message");
    token
}

#[tokio::test]
async fn a_busy_run_leaves_trace_ids_and_no_secrets() {
    let dir = TempDir::new();
    let log = dir.path().join("log");
    let data = dir.path().join("data");
    let mut add = roost();
    add.args(["user", "add", "--email", EMAIL, "--name", TEXT, "--staff", "--password-stdin", "--data"]).arg(&data);
    said(&super::run_with_input(&mut add, PASSWORD));
    let mut command = plain(&data);
    command.args(["--log-format", "json"]);
    super::on_the_engine(&mut command);
    command
        .env("ROOST_LOG_FILTER", "debug")
        .env("ROOST_HTTP_DRAIN_S", "6")
        .env("ROOST_HTTP_TRUSTED_PROXIES", "[\"127.0.0.1\"]");
    let mut server = Process::spawn_to(command, Output::ReadBeside(&log));
    let client = client();
    let token = be_busy(&server.url, &client).await;
    let http2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().timeout(PATIENCE).build().unwrap();
    let second = be_busy(&server.url, &http2).await;
    drop((client, http2));
    server.terminate();
    // Both have to be let go on: HTTP/2 says goodbye in two steps.
    let ended = tokio::task::spawn_blocking(move || server.wait(PATIENCE)).await.unwrap();
    assert!(ended.success());
    let log = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert!(lines.iter().any(|line| line["span"]["trace_id"] == "trace-0005"), "{log}");
    assert!(log.lines().count() > 20, "a busy log at this level has lines: {log}");
    let secret = |token: &str| token.split_once('|').expect("two parts").1.to_owned();
    let secrets =
        [KEY, PASSWORD, TEXT, ADDRESS, EMAIL, "secret-0006", "secret wrong 0007", &secret(&token), &secret(&second)];
    for secret in secrets {
        let leak = log.lines().find(|line| line.contains(secret));
        assert!(leak.is_none(), "{secret} is in the log: {leak:?}");
    }
}

#[test]
fn a_log_that_cannot_be_is_refused_at_the_start() {
    let dir = TempDir::new();
    let wrong = run(plain(dir.path()).env("ROOST_LOG_FILTER", "roost=loud"));
    assert!(super::complaint(&wrong).contains("log.filter"), "{wrong:?}");
}
