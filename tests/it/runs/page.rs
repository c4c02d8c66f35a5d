//! A page in a browser: it streams an answer, is reloaded in the middle, goes on where it was, and stops it.

use std::sync::Arc;
use std::time::Duration;

use roost::local::scripted::{Script, Seen, Step, events, text_bytes};
use serde_json::json;

use crate::chats::text;
use crate::support::browser::{Browser, Site, installed};
use crate::support::provider::provided;

/// It keeps what it has shown and where that ends, as any page would that is to survive a reload, and reloads itself after
/// five pieces. What it shows is the text of an element.
const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>ask</title><pre id="answer"></pre><script>
const roost = "ROOST/api/chats/", shown = document.getElementById("answer");
const kept = JSON.parse(sessionStorage.getItem("kept")) || {question: null, cursor: 0, text: ""};
const tell = (what, value) => fetch("/seen", {method: "POST", body: JSON.stringify([what, value])});
const post = (path, body) => fetch(roost + path, {
    method: "POST", body: JSON.stringify(body), headers: {"content-type": "application/json"}});
// Shows what comes until the end; after so many pieces it does something else, too.
async function follow(response, many, then) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let pending = "", pieces = 0;;) {
        const {done, value} = await reader.read();
        if (done) throw new Error("the stream has no end");
        pending += value;
        for (let end; (end = pending.indexOf("\n\n")) >= 0;) {
            const lines = pending.slice(0, end).split("\n");
            pending = pending.slice(end + 2);
            const field = name => (lines.find(line => line.startsWith(name + ": ")) || "").slice(name.length + 2);
            if (!field("data")) continue;
            const frame = JSON.parse(field("data"));
            if (frame.done) return frame;
            [kept.question, kept.cursor, kept.text] = [frame.message_id, Number(field("id")), kept.text + frame.chunk];
            sessionStorage.setItem("kept", JSON.stringify(kept));
            shown.textContent = kept.text;
            if (++pieces === many) await then();
        }
    }
}
async function ask() {
    await post("sessions/", {session_id: "the-page"});
    const response = await post("messages/chat/stream/", {session_id: "the-page", message: "hello"});
    await follow(response, 5, async () => {
        await tell("shown", [shown.textContent, kept.cursor]);
        location.reload();
        await new Promise(() => {});
    });
}
async function goOn() {
    shown.textContent = kept.text;
    const path = roost + "messages/chat/stream/" + kept.question + "/";
    let stop;
    const end = await follow(await fetch(path, {headers: {"last-event-id": String(kept.cursor)}}), 5, async () => {
        stop = post("messages/chat/stop/", {session_id: "the-page", message_id: kept.question});
    });
    const {stopped} = await (await stop).json();
    await tell("stopped", [shown.textContent, end.error, stopped]);
}
(kept.question ? goOn() : ask()).catch(error => tell("error", String(error)));
</script>"#;

/// A piece in which bytes and letters are not the same number.
fn piece(number: usize) -> String {
    format!("câu thứ {number} 👩‍👩‍👧, ")
}

fn endless(_: &Seen) -> Script {
    let made = |number: usize| text_bytes(&piece(number));
    Script(vec![events(), Step::Pieces(usize::MAX, Duration::from_millis(50), Arc::new(made))])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_reloaded_goes_on_where_it_was_and_stops() {
    let Some(program) = installed() else { return };
    let (provider, app) = provided(endless).await;
    let mut site = Site::start(PAGE.replace("ROOST", &app.url)).await;
    let _browser = Browser::open(&program, &site.url);

    let before = site.sees().await;
    assert_eq!(before[0], "shown", "{before}");
    let (half, cursor) = (text(&before[1][0]), before[1][1].as_u64());
    assert_eq!(cursor, Some(half.len() as u64), "a cursor counts bytes");

    let after = site.sees().await;
    assert_eq!(after[0], "stopped", "{after}");
    let whole = text(&after[1][0]);
    assert_eq!((&after[1][1], &after[1][2]), (&json!("The answer was stopped."), &json!(true)));
    assert!(whole.starts_with(half) && whole.len() > half.len(), "it went on: {half:?}, {whole:?}");

    let (_, list) = app.get("/api/chats/messages/?session_id=the-page").await;
    assert_eq!(list.as_array().map(Vec::len), Some(2), "the page asked once: {list}");
    assert_eq!(text(&list[1]["message"]), whole, "what is stored is what was shown");
    assert_eq!(list[1]["metadata"], json!({"incomplete": true, "outcome": "stopped", "reason": "asked"}));
    let seen = provider.until(|seen| seen.iter().all(Seen::is_left)).await.unwrap();
    let sent: String = (0..seen[0].sent()).map(piece).collect();
    assert!(seen.len() == 1 && sent.starts_with(whole), "nothing is there twice, and nothing is left out");
}
