//! The real binary, from the command line to the last line of its log.

mod cli;
mod cli_accounts;
mod cli_webhooks;
mod disk;
mod drain;
mod logs;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::app::PATIENCE;
use crate::support::process::{Process, roost};

/// Runs a command to its end.
fn run(command: &mut Command) -> Output {
    on_the_engine(command).output().expect("the binary starts")
}

/// Over the store of this run of the suite, if the command names a folder: servers over it use the same.
fn on_the_engine(command: &mut Command) -> &mut Command {
    let arguments: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
    let named = arguments.iter().position(|argument| argument == "--data").and_then(|at| arguments.get(at + 1));
    match named {
        Some(data) => command.envs(crate::support::engine::environment_of(std::path::Path::new(data))),
        None => command,
    }
}

/// Runs a command that reads from standard input.
fn run_with_input(command: &mut Command, input: &str) -> Output {
    let command = on_the_engine(command);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a start");
    let mut stdin = child.stdin.take().expect("standard input");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("its end")
}

/// What it said, if it went well.
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// What it complained of; it must have failed, in one line and without a panic.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).expect("text");
    assert!(!output.status.success(), "it went well: {text}");
    assert!(!text.contains("panicked"), "{text}");
    text.trim().to_owned()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client")
}

/// Talks to a process as a guest with a session of its own.
struct Guest<'a> {
    server: &'a Process,
    client: reqwest::Client,
}

impl<'a> Guest<'a> {
    async fn of(server: &'a Process) -> Self {
        let guest = Self { server, client: client() };
        let opened = guest.post("/api/v1/chat/guest/session", json!({"session_key": "a-guest-of-this-process"})).await;
        assert_eq!(opened.0, 201, "{}", opened.1);
        guest
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url)
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let answer = self.client.post(self.url(path)).json(&body).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.client.get(self.url(path)).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// Sends: the message's number, or the status and the code of the refusal.
    async fn says(&self, text: &str) -> Result<i64, (u16, String)> {
        let (status, body) = self.post(&path("message"), json!({"message": text})).await;
        match body["data"]["id"].as_i64() {
            Some(id) if status == 200 => Ok(id),
            _ => Err((status, body["error"]["code"].as_str().unwrap_or_default().to_owned())),
        }
    }

    async fn polls(&self) -> Vec<i64> {
        let (status, body) = self.get(&path("messages")).await;
        assert_eq!(status, 200, "{body}");
        body["data"].as_array().expect("a list").iter().map(|message| message["id"].as_i64().expect("an id")).collect()
    }
}

fn path(rest: &str) -> String {
    format!("/api/v1/chat/guest/a-guest-of-this-process/{rest}")
}

/// A server with nothing said about it but its folder.
fn plain(data: &std::path::Path) -> Command {
    let mut command = roost();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    command
}
