//! The OpenAPI document and the server say the same: schemathesis makes requests of the document,
//! valid and invalid, and compares every answer with what the document promises.
//!
//! Streams that never end are excluded by their paths; the suites of the doors follow them. The
//! doors read some input more loosely than the document says, on purpose, so that two checks stay
//! out: that every invalid input is refused, and that every valid one is taken.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::outside;
use crate::support::temp::TempDir;

/// Paths of streams that end only with their session.
const ENDLESS: &str = "/events/?$";
/// Paths that take the token of all the other requests away.
const SIGN_OUT: &str = "/auth/logout";
/// What the examples in the document call a session.
const KNOWN: &str = "lp-1";

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_only_documented_answers() {
    let Some(suite) = Suite::start().await else { return };
    let endless_or_out = format!("{ENDLESS}|{SIGN_OUT}");
    suite.run("[parameters]\n\"query.wait\" = 0\n", &["--exclude-path-regex", &endless_or_out]).await;
    suite.run("", &["--include-path-regex", SIGN_OUT]).await;
}

/// Random names of sessions lead nowhere: here every name that a request needs is one that is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_regular_gets_only_documented_answers() {
    let Some(suite) = Suite::start().await else { return };
    let names = suite.settle().await;
    let (cookie, more_names) = suite.settle_member().await;
    let names = format!("{names}{more_names}");
    let endless_or_out = format!("{ENDLESS}|{SIGN_OUT}");
    // What is deleted would not be there any more; strangers delete.
    let cookie = format!("Cookie: {cookie}");
    let kept = ["--exclude-path-regex", &endless_or_out, "--exclude-method", "DELETE", "--header", &cookie];
    suite.run(&names, &kept).await;
}

/// A server, the tool that talks to it, and its credential.
struct Suite {
    app: TestApp,
    tool: std::path::PathBuf,
    token: String,
}

impl Suite {
    async fn start() -> Option<Self> {
        let tool = outside::program("schema", "SUITE_SCHEMATHESIS")?;
        let app = TestApp::start().await;
        let token = app.staff("Mai").await.token;
        Some(Self { app, tool, token })
    }

    /// Makes what requests can be about, and the tool's configuration that names it.
    async fn settle(&self) -> String {
        let app = &self.app;
        let (_, live) = app.post("/api/v1/chat/guest/session", json!({"session_key": KNOWN})).await;
        let (_, session) = app.post("/api/chats/sessions/", json!({"session_id": KNOWN})).await;
        let (_, asked) =
            app.post("/api/chats/messages/chat/", json!({"session_id": KNOWN, "message": "What is AI?"})).await;
        let (number, id, message) = (&live["data"]["session"]["id"], &session["id"], &asked["message_id"]);
        assert!(number.is_number() && id.is_string() && message.is_string(), "{live} {session} {asked}");
        format!(
            r#"
            [parameters]
            "query.wait" = 0
            "path.sessionId" = "{KNOWN}"
            "path.sessionKey" = "{KNOWN}"
            "path.message_id" = {message}
            "query.session_id" = "{KNOWN}"
            [[operations]]
            include-path-regex = "^/api/v1/chat/sessions/"
            parameters = {{ "path.id" = {number} }}
            [[operations]]
            include-path-regex = "^/api/chats/sessions/"
            parameters = {{ "path.id" = {id} }}
            [[operations]]
            include-path-regex = "^/api/chats/messages/"
            parameters = {{ "path.id" = {message} }}
            "#
        )
    }

    /// Makes somebody with chats of their own: their cookie, and more of the configuration.
    async fn settle_member(&self) -> (String, String) {
        let lan = self.app.member("Lan").await;
        let chat = lan.chat("A chat").await;
        let message = lan.says(chat, "assistant", "Hello").await["id"].clone();
        let (_, share) = lan.post(&lan.path(&format!("/chats/{chat}/shares")), json!({})).await;
        let names = format!(
            r#"
            [[operations]]
            include-path-regex = "^/api/users/"
            parameters = {{ "path.user_id" = {}, "path.chat_id" = {chat}, "path.message_id" = {message}, "path.share_id" = {} }}
            [[operations]]
            include-path-regex = "^/api/ai/"
            parameters = {{ "path.publisher" = "google", "path.model" = "gemma-2-27b-it", "query.chat_id" = {chat} }}
            [[operations]]
            include-path-regex = "^/api/shared/"
            parameters = {{ "path.uuid" = {} }}
            "#,
            lan.id, share["share"]["id"], share["share"]["share_uuid"]
        );
        (lan.cookie, names)
    }

    /// Runs the tool, and fails with what it says when it finds something.
    async fn run(&self, configuration: &str, arguments: &[&str]) {
        let dir = TempDir::new();
        std::fs::write(dir.path().join("schemathesis.toml"), configuration).expect("a folder that can be written");
        let mut command = self.command(dir.path());
        command.args(arguments);
        // The server runs on the other threads meanwhile.
        let output = tokio::task::block_in_place(|| command.output()).expect("schemathesis starts");
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "schemathesis found something:\n{said}\n{complained}");
        let last = said.lines().last().unwrap_or_default().trim_matches(['=', ' ']);
        eprintln!("schemathesis: {last}");
    }

    fn command(&self, dir: &Path) -> Command {
        let setting = |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
        let mut command = Command::new(&self.tool);
        command.current_dir(dir).args(["--config-file", "schemathesis.toml", "run"]);
        command.arg(format!("{}/openapi.json", self.app.url));
        command.args(["--checks", "all", "--exclude-checks", "negative_data_rejection,positive_data_acceptance"]);
        command.arg("--max-examples").arg(setting("SUITE_SCHEMA_EXAMPLES", "15"));
        command.arg("--seed").arg(setting("SUITE_SCHEMA_SEED", "1"));
        command.args(["--generation-database", "none", "--request-timeout", "10", "--no-color"]);
        command.args(["--continue-on-failure", "--warnings", "off"]);
        command.arg("--header").arg(format!("Authorization: Bearer {}", self.token));
        command
    }
}

#[tokio::test]
async fn every_operation_has_a_name_of_its_own() {
    let (_, document) = TestApp::start().await.get("/openapi.json").await;
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let name = operation["operationId"].as_str().unwrap_or_default();
            assert!(!name.is_empty() && names.insert(name), "{method} {path}: {name:?} is taken");
        }
    }
    assert!(names.len() > 30, "where are the doors? {names:?}");
}

#[tokio::test]
async fn every_reference_in_the_document_leads_somewhere() {
    let (_, document) = TestApp::start().await.get("/openapi.json").await;
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').expect("a reference into the document");
                    assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
}
