//! The OpenAPI document and the server say the same: schemathesis makes requests of the document,
//! valid and invalid, and compares every answer with what the document promises.
//!
//! Streams that never end are excluded by their paths; the suites of the doors follow them. The
//! doors read some input more loosely than the document says, on purpose, so that two checks stay
//! out: that every invalid input is refused, and that every valid one is taken.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use roost::domain::{Ability, Email, Platform, Tag, User};
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::outside;
use crate::support::temp::TempDir;

/// The paths of the guest and the chats door.
const OPEN_DOORS: &str = "^/api/(chats|v1/(chat|chatbot|auth/.+)(/|$))";
/// The Pigeons door's.
const PIGEONS: &str = "^/(api/v1/(pigeons/|auth$|auth/keep-alive|me/)|broadcasting/)";
/// The hooks door's.
const HOOKS: &str = "^/api/v1/(webhooks|events)";
/// The knowledge door's.
const KNOWLEDGE: &str = "^/api/knowledgebase/";
/// The Neptun door's.
const NEPTUN: &str = "^/(api/(auth|users|ai|shared|health|models)|auth/|health|models|\\{email\\})";
/// The Pusher door's.
const PUSHER: &str = "^/apps?/";
/// The `OpenAI` door's.
const OPENAI: &str = "^/v1/";
/// The AI SDK door's.
const AISDK: &str = "^/api/chat(/|$)";
/// Paths of streams that end only with their session.
const ENDLESS: &str = "/events/?$";
/// Paths that take the credential of all the other requests away.
const SIGN_OUT: &str = "/auth/logout";
/// Another door's, among the accounts' paths.
const KEEP_ALIVE: &str = "/auth/keep-alive";
/// What the examples in the document call a session.
const KNOWN: &str = "lp-1";

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_only_documented_answers() {
    let Some(suite) = Suite::start().await else { return };
    let others = format!("{ENDLESS}|{SIGN_OUT}|{KEEP_ALIVE}");
    suite
        .run(
            "[parameters]\n\"query.wait\" = 0\n",
            &["--include-path-regex", OPEN_DOORS, "--exclude-path-regex", &others],
        )
        .await;
    suite.run("", &["--include-path-regex", &format!("^/api/v1{SIGN_OUT}")]).await;
}

/// Random names of sessions lead nowhere: here every name that a request needs is one that is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_regular_gets_only_documented_answers() {
    let Some(suite) = Suite::start().await else { return };
    let names = suite.settle().await;
    let others = format!("{ENDLESS}|{SIGN_OUT}|{KEEP_ALIVE}");
    // What is deleted would not be there any more; strangers delete.
    let arguments = ["--include-path-regex", OPEN_DOORS, "--exclude-path-regex", &others, "--exclude-method", "DELETE"];
    suite.run(&names, &arguments).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platforms_user_gets_only_documented_answers() {
    let Some(mut suite) = Suite::start().await else { return };
    let names = suite.settle_pigeons().await;
    let arguments = ["--include-path-regex", PIGEONS, "--exclude-path-regex", ENDLESS];
    suite.run("", &arguments).await;
    suite.run(&names, &[&arguments[..], &["--exclude-method", "DELETE"]].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platforms_backend_gets_only_documented_answers() {
    let Some(mut suite) = Suite::start().await else { return };
    suite.settle_pigeons().await;
    suite.run("", &["--include-path-regex", HOOKS]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_librarian_gets_only_documented_answers() {
    let Some(mut suite) = Suite::start().await else { return };
    suite.settle_pigeons().await;
    suite.run("", &["--include-path-regex", KNOWLEDGE]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_signed_in_gets_only_documented_answers() {
    let Some(mut suite) = Suite::start().await else { return };
    let names = suite.settle_neptun().await;
    let others = format!("{ENDLESS}|/api/auth/logout");
    let arguments = ["--include-path-regex", NEPTUN, "--exclude-path-regex", &others];
    suite.run("", &arguments).await;
    suite.run(&names, &[&arguments[..], &["--exclude-method", "DELETE"]].concat()).await;
    suite.run("", &["--include-path-regex", "/api/auth/logout"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_key_gets_only_documented_answers() {
    let Some(mut suite) = Suite::start().await else { return };
    suite.run("", &["--include-path-regex", OPENAI]).await;
    let names = suite.settle_openai().await;
    suite.run(&names, &["--include-path-regex", OPENAI]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_the_ai_sdk_gets_only_documented_answers() {
    let Some(suite) = Suite::start().await else { return };
    suite.run("", &["--include-path-regex", AISDK]).await;
    let message = json!({"role": "user", "parts": [{"type": "text", "text": "hello"}]});
    suite.app.post("/api/chat", json!({"id": KNOWN, "message": message})).await;
    let names = format!("[parameters]\n\"path.id\" = \"{KNOWN}\"\n");
    suite.run(&names, &["--include-path-regex", AISDK]).await;
}

/// Signatures are not made at random: everybody is a stranger to an app.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_to_an_app_gets_only_documented_answers() {
    let Some(suite) = Suite::start().await else { return };
    let app = suite.app.platform("Acme").await;
    suite.run("", &["--include-path-regex", PUSHER]).await;
    let names = format!("[parameters]\n\"path.app_id\" = \"{0}\"\n\"path.key\" = \"{0}\"\n", app.key);
    suite.run(&names, &["--include-path-regex", PUSHER]).await;
}

/// A server, the tool that talks to it, and its credential.
struct Suite {
    app: TestApp,
    tool: std::path::PathBuf,
    headers: Vec<String>,
}

impl Suite {
    async fn start() -> Option<Self> {
        let tool = outside::program("schema", "SUITE_SCHEMATHESIS")?;
        let app = TestApp::start().await;
        let headers = vec![format!("Authorization: Bearer {}", app.staff("Mai").await.token)];
        Some(Self { app, tool, headers })
    }

    async fn user(&self, platform: Option<&Platform>, name: &str) -> User {
        let email = Email::parse(&format!("{name}@example.test")).expect("an address");
        let added = self.app.app.chat.add_user(platform, email, name.to_owned(), None, true, vec![Ability::any()]);
        added.await.expect("a new account")
    }

    /// Two users who have written to each other; the requests are one's.
    async fn settle_pigeons(&mut self) -> String {
        let chat = &self.app.app.chat;
        let platform = chat.add_platform("Acme").await.expect("a platform");
        let (ana, ben) = (self.user(Some(&platform), "ana").await, self.user(Some(&platform), "ben").await);
        let token = chat.make_token(ana.clone(), "test".to_owned(), vec![Ability::any()], None).await.expect("a token");
        let access = chat.authenticate(&token.token).await.expect("a good token");
        let (direct, _) = chat.open_direct(&access, ben.uuid, Tag::default()).await.expect("a conversation");
        self.headers =
            vec![format!("Authorization: Bearer {}", token.token), format!("X-PUBLIC-KEY: {}", platform.key)];
        let uuid = direct.conversation.uuid;
        let body = json!({"conversation_uuid": uuid, "receiver_uuid": ben.uuid, "context_text": "hello",
            "context_type": "text", "device": {"type": "web", "os": "Linux"}});
        let send = self.app.request(reqwest::Method::POST, "/api/v1/pigeons/chat/messages").json(&body);
        let send = send.bearer_auth(&token.token).header("x-public-key", platform.key.to_string());
        let (_, sent) = crate::support::app::answer(send).await;
        let message = &sent["data"]["message_id"];
        assert!(message.is_string(), "{sent}");
        format!(
            r#"
            [parameters]
            "path.conversation" = "{uuid}"
            "path.message" = {message}
            "path.user" = "{}"
            "#,
            ana.uuid
        )
    }

    /// Somebody with a chat; the requests are theirs.
    async fn settle_neptun(&mut self) -> String {
        let chat = &self.app.app.chat;
        let nina = self.user(None, "nina").await;
        let cookie = chat.open_session(&nina).await.expect("a session");
        let access = chat.authenticate_session(&cookie).await.expect("a good session");
        let own = chat
            .create_chat(&access, "Rooms".to_owned(), "google/gemma-2-27b-it".to_owned(), None)
            .await
            .expect("a chat");
        let share = chat.share_chat(&access, own.id, true, false, None).await.expect("a share").expect("the first");
        self.headers = vec![format!("Cookie: neptun-session={cookie}")];
        let path = format!("/api/users/{}/chats/{}/messages", nina.id, own.id);
        let send = self.app.request(reqwest::Method::POST, &path).json(&json!({"message": "hello", "actor": "user"}));
        let (_, sent) = crate::support::app::answer(send.header("cookie", format!("neptun-session={cookie}"))).await;
        let message = &sent["chatMessage"]["id"];
        assert!(message.is_number(), "{sent}");
        format!(
            r#"
            [parameters]
            "path.user_id" = {}
            "path.chat_id" = {}
            "path.message_id" = {message}
            "path.share_id" = {}
            "path.uuid" = "{}"
            "path.publisher" = "google"
            "path.model" = "gemma-2-27b-it"
            "query.chat_id" = {}
            "#,
            nina.id, own.id, share.id, share.uuid, own.id
        )
    }

    /// Somebody with a response; the requests are theirs.
    async fn settle_openai(&mut self) -> String {
        let lan = self.app.key_holder("Lan").await;
        let response = lan.asks("/v1/responses", json!({"input": "hello"})).await;
        self.headers = vec![format!("Authorization: Bearer {}", lan.key)];
        format!("[parameters]\n\"path.response_id\" = {}\n\"path.model\" = \"default\"\n", response["id"])
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
        for header in &self.headers {
            command.arg("--header").arg(header);
        }
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
    assert!(names.len() > 80, "where are the doors? {names:?}");
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
