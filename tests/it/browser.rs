//! What only a browser can show: Debian's Chromium on the page of the routes, and on a website that
//! is not Roost's.

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::browser::{Browser, Site, installed, render};

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

fn said(seen: &Value) -> String {
    assert_eq!(seen[0], "message", "{seen}");
    seen[1][1].as_str().expect("text").to_owned()
}
