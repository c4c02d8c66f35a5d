//! The id by which a complaint finds its line in the log.

use reqwest::Method;
use reqwest::header::HeaderValue;
use uuid::Uuid;

use crate::support::app::{TestApp, whole_answer};

/// The trace id of an answer, which has to be the same wherever it stands.
async fn traced(app: &TestApp, headers: &[(&'static str, HeaderValue)]) -> String {
    let request = app.request(Method::GET, "/api/v1/auth/me");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value.clone()));
    let (_, headers, body) = whole_answer(request).await;
    let id = body["trace_id"].as_str().expect("a trace id").to_owned();
    assert!(headers["x-request-id"] == id && headers["x-correlation-id"] == id, "{headers:?}");
    id
}

#[tokio::test]
async fn the_clients_id_is_kept_and_a_new_one_made_otherwise() {
    let app = TestApp::start().await;
    let value = |text: &'static str| HeaderValue::from_static(text);
    assert_eq!(traced(&app, &[("x-request-id", value("abc-1"))]).await, "abc-1");
    assert_eq!(traced(&app, &[("x-correlation-id", value("abc-2"))]).await, "abc-2");
    let both = [("x-request-id", value("abc-1")), ("x-correlation-id", value("abc-2"))];
    assert_eq!(traced(&app, &both).await, "abc-1");
    let (one, two) = (traced(&app, &[]).await, traced(&app, &[]).await);
    assert!(Uuid::try_parse(&one).is_ok_and(|id| id.get_version_num() == 4), "{one}");
    assert_ne!(one, two);
}

#[tokio::test]
async fn a_hostile_id_is_replaced() {
    let app = TestApp::start().await;
    let long = "a".repeat(129);
    for hostile in [&b""[..], b" ", b"a b", b"a\tb", b"caf\xc3\xa9", b"\xff", b"a\x1b[31m", long.as_bytes()] {
        let Ok(value) = HeaderValue::from_bytes(hostile) else { continue };
        let id = traced(&app, &[("x-request-id", value)]).await;
        assert!(Uuid::try_parse(&id).is_ok(), "{hostile:?} became {id}");
    }
    let longest = "a".repeat(128);
    assert_eq!(traced(&app, &[("x-request-id", HeaderValue::from_str(&longest).unwrap())]).await, longest);
}

#[tokio::test]
async fn every_answer_has_one() {
    let app = TestApp::start().await;
    for path in ["/livez", "/readyz", "/metrics", "/openapi.json", "/nowhere", "/api/v1/nowhere", "/api/chats/nowhere"]
    {
        let answer = app.request(Method::GET, path).header("x-request-id", "mine").send().await.unwrap();
        let headers = answer.headers();
        assert!(headers["x-request-id"] == "mine" && headers["x-correlation-id"] == "mine", "{path} {headers:?}");
    }
}
