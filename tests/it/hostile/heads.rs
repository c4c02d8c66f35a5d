//! Request heads without end, without sense, or in another century's protocol.

use reqwest::StatusCode;

use super::{SEND, assert_alive, hear, refusal, server};
use crate::support::app::{PATIENCE, TestApp};
use crate::support::raw::{Raw, request};

/// Fails unless the bytes are refused with a 4xx or a close.
async fn assert_refused(app: &TestApp, what: &str, bytes: impl AsRef<[u8]>) {
    if let Some(answer) = hear(app, bytes).await {
        assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
    }
    assert_alive(app).await;
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let app = server(|_| {}).await;
    let line = format!("X-Long: {}\r\n", "a".repeat(1 << 20));
    assert_refused(&app, "a megabyte in one header", format!("GET /livez HTTP/1.1\r\n{line}\r\n")).await;
    let many: String = (0..1000).map(|n| format!("X-{n}: a\r\n")).collect();
    assert_refused(&app, "a thousand headers", format!("GET /livez HTTP/1.1\r\n{many}\r\n")).await;
    let path = "a".repeat(100_000);
    assert_refused(&app, "a long path", format!("GET /{path} HTTP/1.1\r\n\r\n")).await;
    assert_refused(&app, "a long method", format!("{path} / HTTP/1.1\r\n\r\n")).await;
    assert_refused(&app, "no line at all", "a".repeat(1 << 20)).await;
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let app = server(|_| {}).await;
    let shapes: &[&[u8]] = &[
        b"\r\n\r\n\r\n\0",
        b"GET /\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"GET /livez HTTP/0.9\r\n\r\n",
        b"GET /livez HTTP/3.0\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n: empty name\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nX: a\0b\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nX-\xff: a\r\n\r\n",
        b"GET /li\0vez HTTP/1.1\r\n\r\n",
        b"GET  /livez  HTTP/1.1\r\n\r\n",
        b"G\xc3\x89T /livez HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"PRI * HTTP/1.1\r\n\r\n",
        b"PRIVATE / HTTP/1.1\r\n\r\nxxxxxxxxxxxxxxxx",
    ];
    for shape in shapes {
        let mut raw = Raw::connect(&app.url).await;
        raw.send(shape).await;
        raw.close_writing().await;
        let said = String::from_utf8_lossy(&raw.rest().await).into_owned();
        assert!(!said.contains(" 200 ") && !said.starts_with("HTTP/1.1 5"), "{shape:?}: {said}");
        assert_alive(&app).await;
    }
}

#[tokio::test]
async fn a_preface_that_goes_wrong_or_nowhere_ends() {
    let app = server(|config| config.http.head_timeout_s = 1).await;
    let shapes: [&[u8]; 6] = [
        b"P",
        b"PRI",
        b"PRI ",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    let ends = shapes.map(|shape| {
        let app = &app;
        async move {
            let mut raw = Raw::connect(&app.url).await;
            raw.send(shape).await;
            raw.rest().await
        }
    });
    futures_util::future::join_all(ends).await;
    assert_alive(&app).await;
}

#[tokio::test]
async fn a_head_that_stops_or_does_not_come_is_given_up() {
    let app = server(|config| config.http.head_timeout_s = 1).await;
    let whole = String::from_utf8(request("GET", "/livez", &[], b"")).unwrap();
    // After a whole request the same patience holds for the next one.
    let ends = ["G", "GET /livez HTTP/1.1\r\nX-Slow: ", &whole].map(|begun| {
        let app = &app;
        async move {
            let mut raw = Raw::connect(&app.url).await;
            raw.send(begun).await;
            String::from_utf8(raw.rest().await).unwrap()
        }
    });
    let said = futures_util::future::join_all(ends).await;
    assert!(said[..2].iter().all(|said| said.is_empty() || said.starts_with("HTTP/1.1 4")), "{said:?}");
    assert!(said[2].starts_with("HTTP/1.1 200"), "{said:?}");
}

#[tokio::test]
async fn a_head_that_drips_is_given_up() {
    let app = server(|config| config.http.head_timeout_s = 1).await;
    let mut drips = Raw::connect(&app.url).await;
    drips.send("GET /livez HTTP/1.1\r\nX-Slow: ").await;
    let began = std::time::Instant::now();
    let mut drip = tokio::time::interval(std::time::Duration::from_millis(20));
    while drips.send("a").await {
        drip.tick().await;
        assert!(began.elapsed() < PATIENCE, "a head may drip for ever");
    }
}

#[tokio::test]
async fn old_and_odd_but_legal_requests_are_answered() {
    let app = server(|_| {}).await;
    let mut old = Raw::connect(&app.url).await;
    old.send("GET /livez HTTP/1.0\r\n\r\n").await;
    let said = String::from_utf8(old.rest().await).unwrap();
    assert!(said.starts_with("HTTP/1.0 200"), "and the connection ends: {said}");
    let absolute = hear(&app, "GET http://elsewhere.test/livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(absolute.map(|answer| answer.status), Some(200));
    let odd_case = hear(&app, "GET /livez HTTP/1.1\r\nhOsT: localhost\r\nconnection: CLOSE\r\n\r\n").await;
    assert_eq!(odd_case.map(|answer| answer.status), Some(200));
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let app = server(|_| {}).await;
    let send = |text: &str| request("POST", SEND, &[], format!(r#"{{"message":"{text}"}}"#).as_bytes());
    let mut raw = Raw::connect(&app.url).await;
    let texts: Vec<_> = (0..20).map(|n| format!("number {n}")).collect();
    raw.send(texts.iter().flat_map(|text| send(text)).collect::<Vec<_>>()).await;
    for text in &texts {
        let answer = raw.answer().await.expect("an answer");
        assert_eq!((answer.status, &answer.json()["data"]["message"]), (200, &serde_json::json!(text)));
    }
}

#[tokio::test]
async fn http2_is_spoken_without_being_asked_first() {
    let app = server(|_| {}).await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let sends = (0..50).map(|n| {
        let body = serde_json::json!({"message": format!("stream {n}")});
        client.post(format!("{}{SEND}", app.url)).json(&body).send()
    });
    for sent in futures_util::future::join_all(sends).await {
        let sent = sent.expect("an answer");
        assert_eq!((sent.status(), sent.version()), (StatusCode::OK, reqwest::Version::HTTP_2));
    }
    let large = client.post(format!("{}{SEND}", app.url)).body(vec![b'a'; 1 << 20]).send().await;
    assert_eq!(large.expect("an answer").status(), StatusCode::PAYLOAD_TOO_LARGE);
    let headers = client.get(format!("{}/livez", app.url)).header("x-long", "a".repeat(100_000)).send().await;
    assert!(headers.is_err() || headers.is_ok_and(|answer| answer.status().is_client_error()));
    assert_alive(&app).await;
}

#[tokio::test]
async fn a_method_that_a_route_does_not_have_is_refused_in_the_doors_envelope() {
    let app = server(|_| {}).await;
    for (method, path) in [
        ("GET", SEND),
        ("DELETE", SEND),
        ("BREW", SEND),
        ("TRACE", "/api/v1/chat/guest/k-hostile/messages"),
        ("PUT", "/api/v1/chat/guest/session"),
        ("POST", "/api/v1/auth/me"),
        ("get", "/api/v1/auth/me"),
        ("PROPFIND", "/api/v1/chat/staff/sessions"),
    ] {
        let answer = hear(&app, request(method, path, &[], b"")).await.expect("an answer");
        assert_eq!(refusal(answer.status, &answer.json()), "METHOD_NOT_ALLOWED", "{method} {path}");
        assert_eq!(answer.status, 405);
        assert!(answer.header("allow").is_some_and(|allowed| !allowed.is_empty()), "{}", answer.head);
    }
    for shape in ["CONNECT localhost:80 HTTP/1.1\r\n\r\n", "OPTIONS * HTTP/1.1\r\n\r\n", "CONNECT / HTTP/1.1\r\n\r\n"] {
        assert_refused(&app, shape, shape).await;
    }
}
