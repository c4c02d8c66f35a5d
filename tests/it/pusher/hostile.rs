//! Clients that mean no good, or know no better.

use reqwest::StatusCode;
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::support::app::TestApp;
use crate::support::pusher::{Backend, Client, Said, path};
use crate::support::raw::Raw;

#[tokio::test]
async fn frames_that_are_no_messages_are_told_and_borne() {
    let app = TestApp::start().await;
    let mut client = Client::connect(&app, &app.platform("Acme").await).await;
    let deep = format!(r#"{{"event":"pusher:subscribe","data":{}{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
    for text in ["", "x", "{", "[]", "7", "null", "{}", r#"{"event":7}"#, r#"{"data":{}}"#, &deep] {
        client.say_text(text).await;
        assert_eq!(client.error().await, 4200, "{:?}", &text[..text.len().min(60)]);
    }
    for data in [json!(null), json!(7), json!([]), json!("x"), json!({}), json!({"channel": 7})] {
        for event in ["pusher:subscribe", "pusher:unsubscribe"] {
            client.say(json!({"event": event, "data": data})).await;
            assert_eq!(client.error().await, 4200, "{event} {data}");
        }
    }
    client.say(json!({"event": "pusher:of-a-later-version", "data": {}})).await;
    client.say(json!({"event": "pusher:pong"})).await;
    assert!(client.so_far().await.is_empty());
}

#[tokio::test]
async fn what_breaks_the_websocket_protocol_ends_the_connection() {
    // Who does not answer a close is waited for as long as for a pong.
    let app = TestApp::with(|config| config.sockets.pong_s = 1).await;
    let acme = app.platform("Acme").await;
    let max = app.config.sockets.message_bytes_max;
    let long = format!(r#"{{"event":"pusher:ping","data":"{}"}}"#, "a".repeat(max));
    for (message, code) in [(Message::binary(vec![1, 2, 3]), 1003), (Message::text(long), 1009)] {
        let mut client = Client::connect(&app, &acme).await;
        client.send(message).await;
        assert_eq!(client.closed().await, code);
    }
    // As bytes: a text that is not UTF-8, a frame without a mask, a reserved bit, a continuation of nothing.
    let frames: [(&[u8], u16); 4] = [
        (&[0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28], 1007),
        (&[0x81, 0x02, b'{', b'}'], 1002),
        (&[0xc1, 0x82, 0, 0, 0, 0, b'{', b'}'], 1002),
        (&[0x80, 0x82, 0, 0, 0, 0, b'{', b'}'], 1002),
    ];
    for (frame, code) in frames {
        let mut raw = handshaken(&app, &path(&acme)).await;
        assert!(raw.send(frame).await);
        let said = raw.rest().await;
        let at = said.windows(4).rposition(|bytes| bytes[0] == 0x88 && bytes[2..4] == code.to_be_bytes());
        assert!(at.is_some(), "{code} after {frame:x?}: {:x?}", &said[said.len().saturating_sub(40)..]);
    }
}

/// A connection that speaks bytes from now on.
async fn handshaken(app: &TestApp, path: &str) -> Raw {
    let mut raw = Raw::connect(&app.url).await;
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: roost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    assert!(raw.send(head).await);
    raw
}

#[tokio::test]
async fn a_message_in_many_pieces_is_one() {
    let app = TestApp::start().await;
    let mut raw = handshaken(&app, &path(&app.platform("Acme").await)).await;
    let text = br#"{"event":"pusher:ping","data":{}}"#;
    for (at, byte) in text.iter().enumerate() {
        let opcode = if at == 0 { 0x01 } else { 0x00 };
        let last = if at + 1 == text.len() { 0x80 } else { 0x00 };
        assert!(raw.send([opcode | last, 0x81, 0, 0, 0, 0, *byte]).await);
    }
    // A close, so that everything that was said is there to be read.
    assert!(raw.send([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).await);
    let said = String::from_utf8_lossy(&raw.rest().await).into_owned();
    assert!(said.contains("pusher:pong"), "{said}");
}

#[tokio::test]
async fn a_flood_is_closed_in_a_way_that_makes_clients_pause() {
    let app = TestApp::with(|config| config.sockets.messages_burst = 100).await;
    let mut client = Client::connect(&app, &app.platform("Acme").await).await;
    for _ in 0..500 {
        client.say(json!({"event": "pusher:pong"})).await;
    }
    assert_eq!(client.closed().await, 4100);
}

#[tokio::test]
async fn who_never_reads_is_closed_and_the_others_hear_all() {
    let app = TestApp::with(|config| config.sockets.outbox_bytes_max = 64 << 10).await;
    let acme = app.platform("Acme").await;
    let backend = Backend::new(&app, &acme);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream: TcpStream = socket.connect(app.config.listen).await.unwrap();
    let mut deaf = Client::over(stream, &app, &acme, &path(&acme)).await;
    deaf.next().await;
    let mut other = Client::connect(&app, &acme).await;
    deaf.subscribes("news").await;
    other.subscribes("news").await;
    let data = json!("a".repeat(10_000));
    let mut told = 0;
    while app.app.sockets.stats().slow_total == 0 {
        backend.tells("news", "x", data.clone()).await;
        assert_eq!(other.next().await["event"], "x");
        told += 1;
        assert!(told < 2000, "{told} events wait for who does not read");
    }
    other.so_far().await;
}

#[tokio::test]
async fn who_never_speaks_is_asked_and_then_closed() {
    let app = TestApp::with(|config| {
        config.sockets.ping_s = 1;
        config.sockets.pong_s = 3;
    })
    .await;
    let mut client = Client::connect(&app, &app.platform("Acme").await).await;
    assert_eq!(client.next().await["event"], "pusher:ping");
    client.say(json!({"event": "pusher:pong", "data": {}})).await;
    assert_eq!(client.next().await["event"], "pusher:ping", "it lived, and is asked again");
    assert_eq!(client.hear().await, Said::Closed(4201));
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_where_the_operator_lists_some() {
    let app = TestApp::with(|config| config.sockets.origins = vec!["https://www.example.com".to_owned()]).await;
    let acme = app.platform("Acme").await;
    let open = async |origin: Option<&str>| {
        let mut request = app.request(reqwest::Method::GET, &path(&acme));
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.send().await.unwrap().status()
    };
    assert_eq!(open(Some("https://evil.example")).await, StatusCode::FORBIDDEN);
    assert_eq!(open(Some("https://www.example.com")).await, StatusCode::UPGRADE_REQUIRED);
    assert_eq!(open(None).await, StatusCode::UPGRADE_REQUIRED);
}

#[tokio::test]
async fn one_connection_too_many_is_told_to_come_back() {
    let app = TestApp::with(|config| config.sockets.per_app_max = 2).await;
    let (acme, other) = (app.platform("Acme").await, app.platform("Other").await);
    let held = [Client::connect(&app, &acme).await, Client::connect(&app, &acme).await];
    let mut third = Client::open(&app, &acme, &path(&acme)).await;
    assert_eq!(third.error().await, 4100);
    assert_eq!(third.hear().await, Said::Closed(4100));
    Client::connect(&app, &other).await;
    drop(held);
    crate::support::app::until(|| app.app.sockets.connections(acme.id) == 0).await;
    Client::connect(&app, &acme).await;
}

#[tokio::test]
async fn on_the_way_down_clients_are_told_to_come_back() {
    let mut app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Client::connect(&app, &acme).await);
    }
    let closes = tokio::spawn(async move {
        let mut codes = Vec::new();
        for client in &mut clients {
            codes.push(client.closed().await);
        }
        codes
    });
    app.stop().await;
    assert_eq!(closes.await.unwrap(), [4100; 20]);
}
