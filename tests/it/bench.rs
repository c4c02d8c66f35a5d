//! The load generator against a server that answers as Roost would, and against one that does not.

mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Path;
use axum::routing::{get, post};
use axum::{Json, Router};
use roost::bench::{Options, Profile, run};
use serde_json::{Value, json};

use crate::support::process::roost;
use crate::support::temp::TempDir;
use fake::Fault;

/// Answers what the profiles `send` and `poll-20` ask; `missing` messages are left out of a poll.
fn pretender(missing: usize) -> Router {
    let last = Arc::new(AtomicU64::new(0));
    let sent = move |Path(_): Path<String>| {
        let id = last.fetch_add(1, Ordering::Relaxed);
        async move { Json(json!({"success": true, "data": {"id": id}})) }
    };
    let poll = move |Path(_): Path<String>| async move {
        let messages: Vec<Value> = (missing..20).map(|id| json!({"id": id, "chat_session_id": 1})).collect();
        Json(json!({"success": true, "data": messages}))
    };
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/api/v1/chat/guest/session", post(|| async { Json(json!({"success": true})) }))
        .route("/api/v1/chat/guest/{key}/message", post(sent))
        .route("/api/v1/chat/guest/{key}/messages", get(poll))
}

/// Serves on a port of its own until the test's process ends.
fn serve(router: Router) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    url
}

fn options(profile: Profile, url: String) -> Options {
    Options {
        profile,
        clients: 4,
        sessions: 10,
        seconds: 1,
        rounds: 1,
        preload: None,
        subscribers: 20,
        runs: 20,
        chunks: 20,
        nodes: vec![1],
        connections: Some(50),
        users: 10,
        url: Some(url),
        key: Some("key".to_owned()),
        secret: Some("hush".to_owned()),
        app_id: Some("7".to_owned()),
        pid: Some(std::process::id()),
        config: None,
        data: Some(std::env::temp_dir()),
    }
}

#[test]
fn drives_a_server_that_answers_well() {
    let url = serve(pretender(0));
    run(options(Profile::Send, url.clone())).unwrap();
    run(options(Profile::Poll20, url)).unwrap();
}

#[test]
fn a_wrong_number_of_messages_fails_the_run() {
    let error = run(options(Profile::Poll20, serve(pretender(1)))).unwrap_err();
    assert!(error.to_string().contains("19 of"), "{error}");
}

#[test]
fn a_wrong_status_fails_the_run() {
    let error = run(options(Profile::Page, serve(pretender(0)))).unwrap_err();
    assert!(error.to_string().contains("status 404"), "{error}");
}

#[test]
fn drives_any_server_of_the_pusher_protocol() {
    for profile in [Profile::Fanout, Profile::Idle, Profile::Follow] {
        run(options(profile, fake::serve(Fault::None))).unwrap();
    }
}

#[test]
fn a_frame_that_is_lost_or_doubled_fails_the_run() {
    for (fault, why) in [
        (Fault::Loses, "a subscriber heard message"),
        (Fault::Doubles, "a subscriber heard message"),
        (Fault::Closes, "the server closed a connection: 4100"),
    ] {
        let error = run(options(Profile::Fanout, fake::serve(fault))).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn an_apps_secret_is_not_shown() {
    let shown = format!("{:?}", options(Profile::Fanout, "ws://127.0.0.1:1".to_owned()));
    assert!(shown.contains("--key key --secret ... --app-id 7") && !shown.contains("hush"), "{shown}");
}

/// The profiles of connections that stay, in short, with a server of their own: from the outside, as it is
/// started by the command line.
fn measures(profile: &str, more: &[&str]) {
    let folder = TempDir::new();
    let mut command = roost();
    command.args(["bench", "--profile", profile, "--seconds", "1", "--rounds", "1"]).args(more);
    let output = command.arg("--data").arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(&format!("\n{profile}  ")) && !said.contains("not measured"), "{said}");
}

#[test]
fn measures_fan_out() {
    measures("fanout", &["--subscribers", "20"]);
}

#[test]
fn measures_idle_connections() {
    measures("idle", &["--connections", "100"]);
}

#[test]
fn measures_a_storm() {
    measures("storm", &["--connections", "100", "--users", "10"]);
}

#[test]
fn measures_answers() {
    measures("runs", &["--runs", "20"]);
}

#[test]
fn measures_following() {
    measures("follow", &["--connections", "50"]);
}
