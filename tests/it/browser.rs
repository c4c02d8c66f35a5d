//! What only a browser can show: Debian's Chromium on the page of the routes, and on a website that
//! is not Roost's.

use std::path::Path;

use roost::app::open_chat;
use roost::clock::Clock;
use roost::config::Config;
use roost::domain::{Ability, Email, Tag};
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::browser::{Browser, Site, installed, render};
use crate::support::pigeon::BASE;
use crate::support::process::{Process, roost};
use crate::support::temp::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_routes_needs_nothing_from_elsewhere() {
    let Some(program) = installed() else { return };
    let app = TestApp::start().await;
    let page = render(&program, &app.url, "/docs/");
    let (_, document) = app.get("/openapi.json").await;
    for path in document["paths"].as_object().expect("paths").keys() {
        assert!(page.html.contains(&format!("data-path=\"{path}\"")), "{path} is not shown");
    }
    assert!(page.requests.iter().any(|url| url.ends_with("/openapi.json")), "{:?}", page.requests);
    let elsewhere: Vec<_> = page.requests.iter().filter(|url| !url.starts_with(&app.url)).collect();
    assert!(elsewhere.is_empty(), "the page asks elsewhere: {elsewhere:?}");
}

/// A website of somebody else: it opens a chat, says hello, and follows with the browser's own
/// `EventSource`. What it may not read or send it could not report.
const PAGE: &str = r#"<!doctype html><title>shop</title><script>
const roost = "ROOST", key = "a-guest-of-the-shop";
let told = Promise.resolve();
const tell = (what, value) => told = told.then(() =>
    fetch("/seen", {method: "POST", body: JSON.stringify([what, value])}));
const post = (path, body, headers) => fetch(roost + "/api/v1/chat/guest/" + path, {
    method: "POST", body: JSON.stringify(body), headers: {"content-type": "application/json", ...headers}});
(async () => {
    try {
        await post("session", {session_key: key});
        const retry = {"idempotency-key": "hello-1"};
        await post(key + "/message", {message: "hello"}, retry);
        const again = await post(key + "/message", {message: "hello"}, retry);
        tell("headers", [again.headers.get("idempotent-replayed"), again.headers.get("x-request-id") !== null]);
        const events = new EventSource(roost + "/api/v1/chat/guest/" + key + "/events");
        events.addEventListener("resumed", event => tell("resumed", JSON.parse(event.data).from));
        events.addEventListener("message", event => {
            const message = JSON.parse(event.data);
            tell("message", [message.id, message.message, event.lastEventId]);
        });
    } catch (error) {
        tell("error", String(error));
    }
})();
</script>"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_elsewhere_follows_through_a_restart_and_misses_nothing() {
    let Some(program) = installed() else { return };
    let mut app = TestApp::start().await;
    let mut site = Site::start(PAGE.replace("ROOST", &app.url)).await;
    let _browser = Browser::open(&program, &site.url);

    assert_eq!(site.sees().await, json!(["headers", ["true", true]]), "a page reads what the door says in headers");
    assert_eq!(site.sees().await, json!(["resumed", 0]));
    let hello = site.sees().await;
    let id = hello[1][0].clone();
    assert_eq!(hello, json!(["message", [id, "hello", id.to_string()]]));

    app.restart().await;
    // The browser waits a while before it comes back; this is said meanwhile.
    for text in ["one", "two"] {
        app.post("/api/v1/chat/guest/a-guest-of-the-shop/message", json!({"message": text})).await;
    }
    assert_eq!(site.sees().await, json!(["resumed", id]), "the browser says by itself how far it was");
    let mut texts = Vec::new();
    for _ in 0..2 {
        texts.push(said(&site.sees().await));
    }
    app.post("/api/v1/chat/guest/a-guest-of-the-shop/message", json!({"message": "three"})).await;
    texts.push(said(&site.sees().await));
    assert_eq!(texts, ["one", "two", "three"], "each once, in order");
}

/// A page that follows a user's conversations as `docs/pigeons.md` says.
const INBOX: &str = r#"<!doctype html><title>inbox</title><script>
const roost = "ROOST", token = "TOKEN", key = "KEY";
let told = Promise.resolve();
const tell = (what, value) => told = told.then(() =>
    fetch("/seen", {method: "POST", body: JSON.stringify([what, value])}));
async function follow(cursor) {
    const headers = {authorization: "Bearer " + token, "x-public-key": key};
    const answer = await fetch(roost + "/api/v1/pigeons/chat/events/ticket", {method: "POST", headers});
    const {ticket} = (await answer.json()).data;
    const since = cursor ? "&since=" + cursor : "";
    const events = new EventSource(roost + "/api/v1/pigeons/chat/events?ticket=" + ticket + since);
    events.addEventListener("resumed", event => { cursor = event.lastEventId; tell("resumed", JSON.parse(event.data).from); });
    events.addEventListener("message.sent", event => {
        cursor = event.lastEventId;
        tell("message", [cursor, JSON.parse(event.data).context.text]);
    });
    events.onerror = () => {
        if (events.readyState === EventSource.CLOSED) setTimeout(() => follow(cursor), 2000);
    };
}
// A first request that fails is tried again, as a page would.
const begin = () => follow().catch(() => setTimeout(begin, 500));
begin();
</script>"#;

/// The process is killed and started again over the same data, twice: the browser comes back by itself, with the
/// address and the ticket that it had.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_follows_all_conversations_through_killed_servers() {
    let Some(program) = installed() else { return };
    let dir = TempDir::new();
    let (body, headers, token) = two_users(dir.path()).await;
    let key = headers[1].1.clone();
    let start = |address: &str| {
        let mut command = roost();
        command.args(["serve", "--listen", address, "--data"]).arg(dir.path());
        command.env("ROOST_LIMITS_ENABLED", "false").env("ROOST_LOG_FILTER", "warn");
        Process::spawn(command)
    };
    let mut server = start("127.0.0.1:0");
    let address = server.url.trim_start_matches("http://").to_owned();
    let page = INBOX.replace("ROOST", &server.url).replace("TOKEN", &token).replace("KEY", &key);
    let mut site = Site::start(page).await;
    let _browser = Browser::open(&program, &site.url);
    assert_eq!(site.sees().await[0], "resumed");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (mut number, mut last) = (0, Value::Null);
    for _ in 0..2 {
        for _ in 0..3 {
            number += 1;
            let mut body = body.clone();
            body["context_text"] = json!(format!("number {number}"));
            let request = client.post(format!("{}{BASE}/messages", server.url)).json(&body);
            let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
            assert_eq!(request.send().await.unwrap().status(), 201);
            let mut seen = site.sees().await;
            if seen[0] == "resumed" {
                // That the last one was delivered may have come, too.
                let (from, last) = (seen[1].as_i64().unwrap(), last.as_str().unwrap().parse::<i64>().unwrap());
                assert!(from >= last, "it says how far it was: {from}, {last}");
                seen = site.sees().await;
            }
            assert_eq!((&seen[0], &seen[1][1]), (&json!("message"), &json!(format!("number {number}"))));
            last = seen[1][0].clone();
        }
        server.kill();
        server = start(&address);
    }
}

/// Makes a conversation of two users in a folder: what one of them sends with, and the token of the other.
async fn two_users(data: &Path) -> (Value, [(&'static str, String); 2], String) {
    let config = Config { data: data.to_owned(), ..Config::default() };
    let chat = open_chat(&config, Clock::system()).await.unwrap();
    let platform = chat.add_platform("Acme").await.unwrap();
    let user = async |name: &str| {
        let (email, any) = (Email::parse(&format!("{name}@example.test")).unwrap(), vec![Ability::any()]);
        let user = chat.add_user(Some(&platform), email, name.to_owned(), None, false, any.clone()).await.unwrap();
        chat.make_token(user, "test".to_owned(), any, None).await.unwrap()
    };
    let (ana, rui) = (user("ana").await, user("rui").await);
    let access = chat.authenticate(&ana.token).await.unwrap();
    let (direct, _) = chat.open_direct(&access, rui.user.uuid, Tag::default()).await.unwrap();
    let body = json!({
        "conversation_uuid": direct.conversation.uuid, "receiver_uuid": rui.user.uuid, "context_text": "",
        "context_type": "text", "device": {"type": "web", "os": "Linux"},
    });
    let headers = [("authorization", format!("Bearer {}", ana.token)), ("x-public-key", platform.key.to_string())];
    (body, headers, rui.token)
}

fn said(seen: &Value) -> String {
    assert_eq!(seen[0], "message", "{seen}");
    seen[1][1].as_str().expect("text").to_owned()
}
