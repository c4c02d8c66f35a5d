//! Answers as streams: what is heard is what is stored, from any point, whoever goes away.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::StatusCode;
use roost::domain::MessageText;
use serde_json::{Value, json};

use super::{Heard, Visitor, all, text};
use crate::support::app::TestApp;

#[tokio::test]
async fn an_answer_comes_word_by_word_and_is_stored_as_it_came() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    let heard = Heard::all(visitor.hears("Once  upon\na time...").await).await;
    assert_eq!(heard.chunks, ["Echo: ", "Once  ", "upon\n", "a ", "time..."]);
    let list = visitor.lists().await;
    assert_eq!(all(&list, "message"), ["Once  upon\na time...", "Echo: Once  upon\na time..."]);
    assert_eq!(
        heard.end,
        json!({"chunk": "", "done": true, "message_id": list[0]["id"], "response_id": list[1]["id"]})
    );
    assert_eq!(list[1]["metadata"], json!({}));
}

/// What people and programs send, and what breaks naive framing, cutting and escaping.
fn hostile() -> impl Strategy<Value = String> {
    let nasty = prop::sample::select(vec![
        "\r\n\r\n",
        "\n\n",
        "data: x\n\n",
        "\u{2028}",
        "\u{2029}",
        "\u{85}",
        "\u{FEFF}",
        "\u{202E}",
        "\u{0}",
        "\\",
        "\"",
        "</script>",
        "👩‍👩‍👧",
        "e\u{301}\u{301}",
        "\u{1F1FB}\u{1F1F3}",
        "\u{FFFD}",
        "\u{10FFFF}",
        "  ",
        "\t",
        "\u{3000}",
        "\u{A0}",
        "id: 7\n",
        "{\"done\": true}",
        "ﷺ",
        "İ",
        "ß",
    ]);
    let piece = prop_oneof![nasty.prop_map(str::to_owned), any::<String>(), "[a-z]{1,9} "];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

#[test]
fn chunks_joined_are_the_stored_answer_byte_for_byte() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(TestApp::start());
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&hostile(), |said| {
        runtime.block_on(assert_streamed_as_stored(&app, &said));
        Ok(())
    });
    outcome.unwrap();
    runtime.block_on(async { drop(app) });
}

async fn assert_streamed_as_stored(app: &TestApp, said: &str) {
    let visitor = app.visitor().await;
    let Ok(kept) = MessageText::parse(said, app.config.chats.message_chars_max) else {
        let (status, body) = app.post("/api/chats/messages/chat/stream/", visitor.question(said)).await;
        assert_eq!((status, body), (StatusCode::BAD_REQUEST, json!({"error": "message is required"})));
        return;
    };
    let heard = Heard::all(visitor.hears(said).await).await;
    let list = visitor.lists().await;
    assert_eq!(text(&list[0]["message"]), kept.as_str());
    assert_eq!(heard.text(), text(&list[1]["message"]));
    assert_eq!(heard.text(), format!("Echo: {}", kept.as_str()));
    assert_eq!(heard.cursors.last(), Some(&heard.text().len()));
}

#[tokio::test]
async fn an_answer_outlives_its_client() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 10).await;
    let visitor = app.visitor().await;
    let said = "word ".repeat(20);
    let mut stream = visitor.hears(&said).await;
    stream.next().await.unwrap();
    drop(stream);
    let answer = visitor.waits_for_answer().await;
    assert_eq!(
        (text(&answer["message"]), &answer["metadata"]),
        (format!("Echo: {}", said.trim()).as_str(), &json!({}))
    );
    assert_eq!(visitor.lists().await[1], answer);
}

#[tokio::test]
async fn a_client_of_the_whole_answer_may_go_away_too() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 10).await;
    let visitor = app.visitor().await;
    let url = format!("{}/api/chats/messages/chat/", app.url);
    let asking = tokio::spawn(app.client.post(url).json(&visitor.question("one two three four five")).send());
    let mut events = visitor.follows(0).await;
    events.next_of("message").await.unwrap();
    asking.abort();
    assert_eq!(visitor.waits_for_answer().await["message"], "Echo: one two three four five");
}

#[tokio::test]
async fn a_stopped_answer_keeps_what_had_arrived() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 20).await;
    let visitor = app.visitor().await;
    let mut stream = visitor.hears(&"word ".repeat(1000)).await;
    let first = stream.next().await.unwrap().data;
    let question = text(&first["message_id"]);
    let stopped = visitor.stops(question).await;
    let list = visitor.lists().await;
    assert_eq!(stopped, json!({"stopped": true, "message_id": question, "response_id": list[1]["id"]}));
    assert_eq!(list[1]["metadata"], json!({"incomplete": true, "outcome": "stopped", "reason": "asked"}));

    let rest = Heard::all(stream).await;
    let heard = text(&first["chunk"]).to_owned() + &rest.text();
    assert_eq!(heard, text(&list[1]["message"]), "heard and stored are the same");
    let end = json!({"chunk": "", "done": true, "message_id": question, "error": "The answer was stopped."});
    assert_eq!(rest.end, end);

    let again = visitor.stops(question).await;
    assert_eq!(again, json!({"stopped": false, "message_id": question, "response_id": list[1]["id"]}));
    let resumed = Heard::all(visitor.resumes(question, 0).await).await;
    assert_eq!((resumed.text(), resumed.end), (heard, end));
    visitor.asks("go on").await;
}

#[tokio::test]
async fn a_question_that_nobody_answers_cannot_be_stopped() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    let said = visitor.says("hello").await;
    let stopped = visitor.stops(text(&said["id"])).await;
    assert_eq!(stopped, json!({"stopped": false, "message_id": said["id"], "response_id": null}));
    let asked = visitor.asks("hello").await;
    let stopped = visitor.stops(text(&asked["message_id"])).await;
    assert_eq!(
        stopped,
        json!({"stopped": false, "message_id": asked["message_id"], "response_id": asked["response_id"]})
    );
}

/// Who follows the session sees a question the moment it is stored, and may go to its answer at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_is_seen_can_be_listened_to() {
    let app = TestApp::start().await;
    let visitor = app.visitor().await;
    let mut events = visitor.follows(0).await;
    for number in 0..50 {
        let said = format!("number {number}");
        let (answer, heard) = tokio::join!(visitor.asks(&said), async {
            let mut question = events.next_of("message").await.unwrap().data;
            while question["role"] == "assistant" {
                question = events.next_of("message").await.unwrap().data;
            }
            Heard::all(visitor.resumes(text(&question["id"]), 0).await).await
        });
        assert_eq!(
            (heard.text().as_str(), &heard.end["response_id"]),
            (text(&answer["response"]), &answer["response_id"])
        );
    }
}

/// Whoever waits for the whole of an answer that somebody stops gets what there is.
#[tokio::test]
async fn a_stopped_answer_ends_the_wait_for_the_whole() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 20).await;
    let visitor = app.visitor().await;
    let url = format!("{}/api/chats/messages/chat/", app.url);
    let asking = tokio::spawn(app.client.post(url).json(&visitor.question(&"word ".repeat(1000))).send());
    let question = visitor.follows(0).await.next_of("message").await.unwrap().data;
    let mut stream = visitor.resumes(text(&question["id"]), 0).await;
    stream.next().await.unwrap();
    visitor.stops(text(&question["id"])).await;
    let answer: Value = asking.await.unwrap().unwrap().json().await.unwrap();
    let list = visitor.lists().await;
    assert_eq!((&answer["response"], &answer["response_id"]), (&list[1]["message"], &list[1]["id"]));
}

/// The provider gives more than an answer may hold: for the client that is a failure in its middle.
#[tokio::test]
async fn an_answer_that_fails_says_so_and_keeps_what_had_arrived() {
    let app = TestApp::with(|config| config.assistant.answer_bytes_max = 13).await;
    let visitor = app.visitor().await;
    let heard = Heard::all(visitor.hears("Xin chào các bạn thân mến").await).await;
    let list = visitor.lists().await;
    let why = "The assistant could not finish its answer: ask again.";
    assert_eq!(heard.end, json!({"chunk": "", "done": true, "message_id": list[0]["id"], "error": why}));
    assert_eq!((heard.text(), text(&list[1]["message"])), ("Echo: Xin ch".to_owned(), "Echo: Xin ch"));
    assert_eq!(list[1]["metadata"], json!({"incomplete": true, "outcome": "failed", "reason": "length"}));
    let (status, body) = app.post("/api/chats/messages/chat/", visitor.question("Xin chào các bạn thân mến")).await;
    assert_eq!((status, body), (StatusCode::SERVICE_UNAVAILABLE, json!({"error": why})));
}

/// What is left of a text after a cursor; one inside a character begins with that character.
fn after(text: &str, cursor: usize) -> &str {
    let mut start = cursor.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    &text[start..]
}

#[tokio::test]
async fn a_finished_answer_is_resumed_from_any_cursor_also_after_a_restart() {
    let mut app = TestApp::start().await;
    let visitor = app.visitor().await;
    let heard = Heard::all(visitor.hears("Xin chào 👩‍👩‍👧 bạn").await).await;
    let session = visitor.session.clone();
    for restarted in [false, true] {
        if restarted {
            app.restart().await;
        }
        let visitor = Visitor { app: &app, session: session.clone() };
        let question = text(&heard.end["message_id"]);
        let whole = heard.text();
        for cursor in 0..=whole.len() + 2 {
            let resumed = Heard::all(visitor.resumes(question, cursor).await).await;
            assert_eq!((resumed.text().as_str(), &resumed.end), (after(&whole, cursor), &heard.end), "{cursor}");
        }
        let url = format!("{}/api/chats/messages/chat/stream/{question}/?last_event_id=6", app.url);
        let resumed = Heard::all(crate::support::sse::Events::open(app.client.get(url)).await).await;
        assert_eq!(resumed.text(), after(&whole, 6));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_under_way_is_resumed_from_any_cursor() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 10).await;
    let visitor = app.visitor().await;
    let said = "một hai ba bốn năm sáu bảy tám chín mười";
    let mut stream = visitor.hears(said).await;
    let first = stream.next().await.unwrap().data;
    let question = text(&first["message_id"]);
    let whole = format!("Echo: {said}");
    let cursors = 0..=whole.len();
    let listeners = cursors.clone().map(|cursor| visitor.resumes(question, cursor));
    let streams = futures_util::future::join_all(listeners).await;
    let resumed = futures_util::future::join_all(streams.into_iter().map(Heard::all)).await;
    let rest = Heard::all(stream).await;
    assert_eq!(text(&first["chunk"]).to_owned() + &rest.text(), whole);
    for (cursor, resumed) in cursors.zip(resumed) {
        assert_eq!((resumed.text().as_str(), &resumed.end), (after(&whole, cursor), &rest.end), "{cursor}");
    }
}

/// Each time, the connection breaks after one chunk.
#[tokio::test]
async fn an_answer_heard_in_pieces_is_whole() {
    let app = TestApp::with(|config| config.assistant.echo_pause_ms = 5).await;
    let visitor = app.visitor().await;
    let said = "ein Satz, der in vielen Stücken ankommt, und keines fehlt";
    let mut stream = visitor.hears(said).await;
    let mut heard = String::new();
    loop {
        let event = stream.next().await.unwrap();
        heard += text(&event.data["chunk"]);
        if event.data["done"] == json!(true) {
            break;
        }
        let cursor = usize::try_from(event.id.unwrap()).unwrap();
        assert_eq!(cursor, heard.len());
        stream = visitor.resumes(text(&event.data["message_id"]), cursor).await;
    }
    assert_eq!(heard, format!("Echo: {said}"));
    assert_eq!(visitor.lists().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_under_way_is_heard_to_its_end_when_the_server_goes_down() {
    let mut app = TestApp::with(|config| config.assistant.echo_pause_ms = 10).await;
    let said = "word ".repeat(50);
    let mut stream = app.visitor().await.hears(&said).await;
    let first = stream.next().await.unwrap().data;
    let hearing = tokio::spawn(Heard::all(stream));
    app.stop().await;
    let rest = hearing.await.unwrap();
    assert_eq!(text(&first["chunk"]).to_owned() + &rest.text(), format!("Echo: {}", said.trim()));
    assert!(rest.end["response_id"].is_string(), "{}", rest.end);
}

/// Many hear the same answer; one of them never reads.
#[tokio::test]
async fn who_does_not_read_holds_nobody_up() {
    let app = Arc::new(TestApp::start().await);
    let visitor = app.visitor().await;
    let said = "x".repeat(200).split_inclusive('x').map(|x| format!("{x} ")).collect::<String>();
    let stuck = visitor.hears(&said).await;
    let question = visitor.follows(0).await.next_of("message").await.unwrap().data;
    let heard = Heard::all(visitor.resumes(text(&question["id"]), 0).await).await;
    assert_eq!(heard.text(), format!("Echo: {}", said.trim()));
    drop(stuck);
}
