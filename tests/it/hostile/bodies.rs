//! Bodies that are not what they say, not JSON, not an object, or without an end.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{SEND, assert_alive, hear, refusal, server};
use crate::support::app::{TestApp, answer};
use crate::support::raw::{Raw, request};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Every route of the guest door that reads a body before it asks who sends it.
const OPEN_ROUTES: [&str; 6] = [
    SEND,
    "/api/v1/chat/guest/session",
    "/api/v1/chatbot",
    "/api/v1/auth/register",
    "/api/v1/auth/verify-otp",
    "/api/v1/auth/login",
];

async fn post(app: &TestApp, path: &str, content_type: Option<&str>, body: Vec<u8>) -> (StatusCode, Value) {
    let request = app.request(Method::POST, path).body(body);
    answer(match content_type {
        Some(content_type) => request.header("content-type", content_type),
        None => request,
    })
    .await
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[tokio::test]
async fn what_is_not_json_is_refused_by_every_route() {
    let app = server(|_| {}).await;
    let deep = |open: &str, close: &str| [open.repeat(40_000), close.repeat(40_000)].concat().into_bytes();
    let bodies: Vec<Vec<u8>> = vec![
        b"{".to_vec(),
        b"{\"message\":\"a\"}}".to_vec(),
        b"{\"message\":\"a\"} trailing".to_vec(),
        b"{'message':'a'}".to_vec(),
        b"{\"message\":\"a\",}".to_vec(),
        b"{\"message\":NaN}".to_vec(),
        b"{\"message\":1e999}".to_vec(),
        b"{\"message\":\"a\nb\"}".to_vec(),
        b"{\"message\":\"\0\"}".to_vec(),
        b"{\"message\":\"caf\xe9\"}".to_vec(),
        b"{\"message\":\"\xed\xa0\x80\"}".to_vec(),
        b"{\"message\":\"\xc0\x80\"}".to_vec(),
        br#"{"message":"\ud800"}"#.to_vec(),
        br#"{"message":"\udc00\ud800"}"#.to_vec(),
        b"\xef\xbb\xbf{\"message\":\"a\"}".to_vec(),
        utf16("{\"message\":\"a\"}"),
        deep("[", "]"),
        deep("{\"a\":", "}"),
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(),
        b"\0".to_vec(),
        b"undefined".to_vec(),
    ];
    for path in OPEN_ROUTES {
        for body in &bodies {
            let said = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            let (status, refused) = post(&app, path, Some("application/json"), body.clone()).await;
            assert_eq!(refusal(status.as_u16(), &refused), "VALIDATION_FAILED", "{path} {said}");
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {said}");
            let reason = refused["error"]["details"]["body"][0].as_str().expect("a reason");
            assert!(reason.starts_with("The body is not valid JSON: "), "{reason}");
        }
    }
    assert_alive(&app).await;
}

#[tokio::test]
async fn what_is_json_but_no_object_is_refused_by_every_route() {
    let app = server(|_| {}).await;
    for path in OPEN_ROUTES {
        for body in ["null", "true", "1", "-0.0", "\"text\"", "[]", "[{\"message\":\"a\"}]"] {
            let (status, refused) = post(&app, path, Some("application/json"), body.into()).await;
            assert_eq!(refusal(status.as_u16(), &refused), "VALIDATION_FAILED", "{path} {body}");
            assert_eq!(refused["error"]["details"], json!({"body": ["The body must be a JSON object"]}));
        }
    }
}

#[tokio::test]
async fn what_is_declared_as_something_else_is_refused() {
    let app = server(|_| {}).await;
    let body = || br#"{"message":"a"}"#.to_vec();
    for content_type in
        ["text/plain", "text/xml", "multipart/form-data; boundary=x", "application/jsonp", "*/*", "\u{e9}"]
    {
        let (status, refused) = post(&app, SEND, Some(content_type), body()).await;
        assert_eq!(refusal(status.as_u16(), &refused), "UNSUPPORTED_MEDIA_TYPE", "{content_type}");
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    for content_type in
        [None, Some("application/json"), Some("APPLICATION/JSON ; charset=utf-8"), Some("application/x+json")]
    {
        assert_eq!(post(&app, SEND, content_type, body()).await.0, StatusCode::OK, "{content_type:?}");
    }
    let (status, sent) = post(&app, SEND, Some("application/x-www-form-urlencoded"), b"message=a%20b+c".to_vec()).await;
    assert_eq!((status, &sent["data"]["message"]), (StatusCode::OK, &json!("a b c")));
}

#[tokio::test]
async fn text_that_would_mislead_is_cleaned_and_stays_text() {
    let app = server(|_| {}).await;
    for (sent, kept) in [
        (json!("\u{202e}abc\u{2066}"), "abc"),
        (json!("a\u{0}b\u{7}c\u{9f}d"), "abcd"),
        (json!("<script>alert(1)</script>"), "<script>alert(1)</script>"),
        (json!("'; drop table messages; --"), "'; drop table messages; --"),
        (json!("👩‍👩‍👧‍👦 é"), "👩‍👩‍👧‍👦 é"),
    ] {
        let (status, body) = app.post(SEND, json!({"message": sent})).await;
        assert_eq!((status, &body["data"]["message"]), (StatusCode::OK, &json!(kept)), "{body}");
    }
    let twice = br#"{"message":1,"message":"the last one counts"}"#.to_vec();
    let (status, body) = post(&app, SEND, None, twice).await;
    assert_eq!((status, &body["data"]["message"]), (StatusCode::OK, &json!("the last one counts")));
}

/// A megabyte ten times over, as a message.
fn ten_megabytes() -> Vec<u8> {
    let mut body = br#"{"message":""#.to_vec();
    body.resize(10 << 20, b'a');
    body
}

#[tokio::test]
async fn ten_megabytes_are_refused_however_they_come() {
    let app = server(|_| {}).await;
    let whole = request("POST", SEND, &[JSON], &ten_megabytes());
    let mut chunked = request("POST", SEND, &[JSON, ("Transfer-Encoding", "chunked")], b"");
    for piece in ten_megabytes().chunks(64 << 10) {
        chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        chunked.extend_from_slice(piece);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    for bytes in [whole, chunked] {
        let listening = Raw::connect(&app.url).await.send_and_hear(&bytes).await.expect("an answer");
        assert_eq!(refusal(listening.status, &listening.json()), "PAYLOAD_TOO_LARGE");
        // Simple clients write everything before they read anything; a reset would cost them the
        // answer.
        let mut deaf = Raw::connect(&app.url).await;
        deaf.send(&bytes).await;
        let answer = deaf.answer().await.expect("an answer also to who listens late");
        assert_eq!(refusal(answer.status, &answer.json()), "PAYLOAD_TOO_LARGE");
    }
    assert_alive(&app).await;
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_refused_before_it_is_sent() {
    let app = server(|_| {}).await;
    let head = format!(
        "POST {SEND} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10485760\r\n\
         Expect: 100-continue\r\n\r\n"
    );
    let answer = hear(&app, head).await.expect("an answer");
    assert_eq!(refusal(answer.status, &answer.json()), "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn a_body_that_stops_in_its_middle_is_given_up() {
    let app = server(|config| config.http.body_timeout_s = 1).await;
    let head = format!("POST {SEND} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{\"mess");
    let slow = hear(&app, &head).await.expect("an answer");
    assert_eq!(refusal(slow.status, &slow.json()), "REQUEST_TIMEOUT");
    let endless = format!("POST {SEND} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{{\"mes\r\n");
    let slow = hear(&app, endless).await.expect("an answer");
    assert_eq!(refusal(slow.status, &slow.json()), "REQUEST_TIMEOUT");
    // Who says that nothing more comes is not waited for.
    let mut gone = Raw::connect(&app.url).await;
    gone.send(&head).await;
    gone.close_writing().await;
    if let Some(answer) = gone.answer().await {
        refusal(answer.status, &answer.json());
    }
    assert_alive(&app).await;
}

#[tokio::test]
async fn a_body_that_drips_is_given_up_in_time() {
    let app = server(|config| config.http.body_timeout_s = 1).await;
    let mut raw = Raw::connect(&app.url).await;
    raw.send(format!("POST {SEND} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{{\"message\":\"")).await;
    let began = std::time::Instant::now();
    let mut drip = tokio::time::interval(std::time::Duration::from_millis(20));
    let answer = loop {
        tokio::select! {
            answer = raw.answer() => break answer,
            _ = drip.tick() => {}
        }
        raw.send("a").await;
    };
    let answer = answer.expect("an answer");
    assert_eq!(refusal(answer.status, &answer.json()), "REQUEST_TIMEOUT");
    assert!(began.elapsed().as_secs() < 5, "it took {:?}", began.elapsed());
}

#[tokio::test]
async fn lengths_that_lie_cannot_hide_a_second_request() {
    let app = server(|_| {}).await;
    let (_, before) = app.get("/api/v1/chat/guest/k-hostile/messages").await;
    let hidden = request("POST", SEND, &[], br#"{"message":"smuggled"}"#);
    let hidden = String::from_utf8(hidden).unwrap();
    let head = format!("POST {SEND} HTTP/1.1\r\nHost: x\r\n");
    for shape in [
        // Both framings: chunked alone counts, and the connection ends after it.
        format!("{head}Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}", hidden.len() + 5),
        format!("{head}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{head}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{head}Transfer-Encoding: identity\r\n\r\n{hidden}"),
        format!("{head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{head}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{head}Content-Length: 5\r\nContent-Length: 0\r\n\r\n{hidden}"),
        format!("{head}Content-Length: 0, 5\r\n\r\n{hidden}"),
        format!("{head}Content-Length: -1\r\n\r\n{hidden}"),
        format!("{head}Content-Length: +0\r\n\r\n{hidden}"),
        format!("{head}Content-Length: 0x0\r\n\r\n{hidden}"),
        format!("{head}Content-Length: 99999999999999999999999\r\n\r\n{hidden}"),
        format!("{head}Content-Length: 18446744073709551615\r\n\r\n{hidden}"),
        format!("POST {SEND} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{hidden}"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{hidden}"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n1;{}\r\na\r\n0\r\n\r\n", "x".repeat(100_000)),
        format!("{head}X-Folded: a\r\n Content-Length: 0\r\n\r\n{hidden}"),
    ] {
        let mut raw = Raw::connect(&app.url).await;
        raw.send(&shape).await;
        raw.close_writing().await;
        let said = String::from_utf8_lossy(&raw.rest().await).into_owned();
        assert!(!said.contains("HTTP/1.1 5") && !said.contains("HTTP/1.1 200"), "{shape:?} got {said}");
    }
    let (_, after) = app.get("/api/v1/chat/guest/k-hostile/messages").await;
    assert_eq!(before["data"], after["data"], "nothing was smuggled in");
    assert_alive(&app).await;
}
