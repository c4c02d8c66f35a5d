//! WebSocket connections from the outside, with a session that echoes: handshakes, frames that
//! nobody should send, floods, silence, those who do not read, and the end.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use roost::domain::PlatformId;
use roost::http::websocket::{Handshake, Limits, Session, frame as made};
use roost::http::{SharedWeb, server};
use roost::realtime::sockets::{Join, Published, Socket, Sockets};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::app::TestApp;
use crate::support::raw::{Raw, request};
use crate::support::ws::{Got, HANDSHAKE, Ws, frame};

const APP: PlatformId = PlatformId(1);

/// Says hello, echoes, and subscribes and publishes when told to.
struct Echo {
    sockets: Arc<Sockets>,
    socket: Socket,
}

impl Session for Echo {
    fn opened(&mut self) {
        self.socket.send(made::text("hello"));
    }

    fn text(&mut self, text: &str) {
        match text.split_once(' ') {
            Some(("join", channel)) => {
                let join = Join { channel, member: None, owner: None, hold: false };
                let _ = self.sockets.subscribe(&self.socket, join, |_| Default::default());
            }
            Some(("panic", why)) => panic!("{why}"),
            _ => self.socket.send(made::text(text)),
        }
    }

    fn quiet(&mut self) {
        self.socket.send(made::text("are you there?"));
    }

    fn closed(self) {
        self.sockets.leave(&self.socket, |_, _| None);
    }
}

#[derive(Clone)]
struct Door {
    sockets: Arc<Sockets>,
    limits: Limits,
}

async fn connect(State(door): State<Door>, mut request: Request) -> Response {
    let handshake = match Handshake::of(&mut request) {
        Ok(handshake) => handshake,
        Err(none) => return none.into_response(),
    };
    let address = std::net::Ipv4Addr::LOCALHOST.into();
    let Ok(place) = door.sockets.admit(APP, address) else {
        return axum::http::StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let sockets = Arc::clone(&door.sockets);
    handshake.accept(&door.sockets, place, door.limits, |socket| Echo { sockets, socket })
}

/// A server with that one door, and the parts of a whole one behind it.
struct Server {
    url: String,
    app: TestApp,
    stop: CancellationToken,
}

async fn start(change: impl FnOnce(&mut roost::config::Config)) -> Server {
    let app = TestApp::with(|config| {
        config.sockets.message_bytes_max = 1000;
        change(config);
    })
    .await;
    let sockets = Arc::clone(&app.app.sockets);
    let door = Door { sockets, limits: Limits::new(&app.config.sockets) };
    let web: SharedWeb = Arc::clone(&app.app.web);
    let router = Router::new().route("/echo", any(connect)).with_state(door);
    let layer = axum::middleware::from_fn_with_state(Arc::clone(&web), roost::http::frame::frame);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
    tokio::spawn(server::serve(listener, router.layer(layer), web, stop.clone(), abandon));
    Server { url, app, stop }
}

impl Server {
    async fn connects(&self) -> Ws {
        let mut ws = Ws::connect(&self.url, "/echo").await;
        assert_eq!(ws.hears().await, Got::Text("hello".to_owned()));
        ws
    }

    async fn emptied(&self) {
        self.app.await_figure("sockets", 0.0).await;
        let stats = self.app.app.sockets.stats();
        assert_eq!((stats.subscriptions, stats.channels), (0, 0));
    }
}

fn text(text: &str) -> Got {
    Got::Text(text.to_owned())
}

#[tokio::test]
async fn what_is_said_is_heard_also_what_came_with_the_handshake() {
    let server = start(|_| {}).await;
    let first = [frame(0x81, b"early"), frame(0x01, b"in "), frame(0x89, b"?")].concat();
    let raw = Raw::connect(&server.url).await;
    let Ok(mut ws) = Ws::over(raw, "/echo", &first).await else { panic!("no handshake") };
    assert_eq!(ws.hears().await, text("hello"));
    assert_eq!(ws.hears().await, text("early"));
    assert_eq!(ws.hears().await, Got::Pong(b"?".to_vec()));
    ws.sends(&frame(0x80, "parts ✓".as_bytes())).await;
    assert_eq!(ws.hears().await, text("in parts ✓"));
    assert!(server.app.figure("sockets").await > 0.5);
    ws.sends(&frame(0x88, &4000u16.to_be_bytes())).await;
    assert_eq!(ws.hears().await, Got::Close(4000, String::new()));
    assert_eq!(ws.hears().await, Got::End);
    server.emptied().await;
}

#[tokio::test]
async fn a_handshake_that_is_none_is_told_what_is_missing() {
    let server = start(|_| {}).await;
    let without = |name: &str| HANDSHAKE.into_iter().filter(|(known, _)| *known != name).collect::<Vec<_>>();
    let with = |name: &'static str, value: &'static str| [without(name), vec![(name, value)]].concat();
    let cases = [
        ("GET", without("Connection"), 426),
        ("GET", without("Upgrade"), 426),
        ("GET", with("Upgrade", "h2c"), 426),
        ("GET", without("Sec-WebSocket-Version"), 426),
        ("GET", with("Sec-WebSocket-Version", "8"), 426),
        ("GET", without("Sec-WebSocket-Key"), 400),
        ("GET", with("Sec-WebSocket-Key", "short"), 400),
        ("POST", HANDSHAKE.to_vec(), 426),
    ];
    for (method, headers, status) in cases {
        let mut raw = Raw::connect(&server.url).await;
        raw.send(request(method, "/echo", &headers, b"")).await;
        let answer = raw.answer().await.expect("an answer");
        assert_eq!(answer.status, status, "{method} {headers:?}");
        let version = answer.header("sec-websocket-version");
        assert_eq!(version, (status == 426).then_some("13"), "{headers:?}");
    }
    assert!(server.app.app.sockets.is_empty());
}

#[tokio::test]
async fn what_nobody_should_send_closes_with_its_code() {
    let server = start(|_| {}).await;
    let cases: [(&str, Vec<u8>, u16); 7] = [
        ("unmasked", vec![0x81, 0x01, b'x'], 1002),
        ("reserved bits", frame(0xc1, b"x"), 1002),
        ("not UTF-8", frame(0x81, b"\xc3\x28"), 1007),
        ("too big", frame(0x81, &[b'x'; 1001]), 1009),
        ("binary", frame(0x82, b"x"), 1003),
        ("oddly fragmented", [frame(0x01, b"x"), frame(0x81, b"y")].concat(), 1002),
        ("no WebSocket at all", b"GET / HTTP/1.1\r\n\r\n".to_vec(), 1002),
    ];
    for (what, bytes, code) in cases {
        let mut ws = server.connects().await;
        ws.sends(&bytes).await;
        ws.says("not heard any more").await;
        let Got::Close(with, reason) = ws.hears().await else { panic!("{what} went through") };
        assert_eq!(with, code, "{what}: {reason}");
        ws.sends(&frame(0x88, &code.to_be_bytes())).await;
    }
}

#[tokio::test]
async fn a_flood_is_ended_with_a_code_that_makes_clients_pause() {
    let server = start(|config| config.sockets.messages_burst = 20).await;
    for flood in [frame(0x81, b"x"), frame(0x89, b"x"), frame(0x01, b"")] {
        let mut ws = server.connects().await;
        let is_parts = flood[0] == 0x01;
        ws.sends(&flood).await;
        let next = if is_parts { frame(0x00, b"") } else { flood };
        ws.sends(&next.repeat(2000)).await;
        let end = loop {
            match ws.hears().await {
                Got::Text(_) | Got::Pong(_) => {}
                end => break end,
            }
        };
        assert_eq!(end, Got::Close(4100, "too many messages".to_owned()));
    }
}

#[tokio::test]
async fn what_is_kept_of_all_that_is_begun_has_a_bound() {
    let server = start(|config| config.sockets.inbound_mib_max = 0).await;
    let mut ws = server.connects().await;
    ws.says("whole").await;
    assert_eq!(ws.hears().await, text("whole"), "what comes whole takes none of it");
    ws.sends(&frame(0x81, b"half")[..8]).await;
    assert_eq!(ws.hears().await, Got::Close(4100, "too much is under way: reconnect and resume".to_owned()));
    assert_eq!(server.app.app.sockets.stats().inbound_bytes, 0);
}

#[tokio::test]
async fn who_falls_silent_is_asked_and_let_go() {
    let server = start(|config| (config.sockets.ping_s, config.sockets.pong_s) = (1, 1)).await;
    let (mut silent, mut lively) = (server.connects().await, server.connects().await);
    assert_eq!(lively.hears().await, text("are you there?"));
    lively.sends(&frame(0x8a, b"")).await;
    assert_eq!(silent.hears().await, text("are you there?"));
    assert_eq!(silent.hears().await, Got::Close(4201, "no pong".to_owned()));
    assert_eq!(lively.hears().await, text("are you there?"), "again, for it has answered");
    assert_eq!(silent.hears().await, Got::End, "it did not even answer the close");
}

#[tokio::test]
async fn who_does_not_read_is_closed_while_others_are_served() {
    let server = start(|config| config.sockets.outbox_bytes_max = 64 << 10).await;
    let mut reading = server.connects().await;
    let narrow = Raw::narrow(&server.url).await;
    let Ok(mut stuck) = Ws::over(narrow, "/echo", b"").await else { panic!("no handshake") };
    stuck.says("join x").await;
    reading.says("join x").await;
    let sockets = Arc::clone(&server.app.app.sockets);
    server.app.await_figure("sockets_subscriptions", 2.0).await;
    let published = made::text(&"x".repeat(10_000));
    while sockets.stats().slow_total == 0 {
        sockets.publish(APP, "x", Published { frame: published.clone(), ..Published::default() });
        assert_eq!(reading.hears().await, text(&"x".repeat(10_000)));
    }
    let end = loop {
        match stuck.hears().await {
            Got::Text(_) => {}
            end => break end,
        }
    };
    assert_eq!(end, Got::Close(4100, "too slow: reconnect and resume".to_owned()));
}

#[tokio::test]
async fn a_connection_that_breaks_or_panics_gives_everything_back() {
    let server = start(|_| {}).await;
    let mut broken = server.connects().await;
    broken.says("join x").await;
    let mut panicking = server.connects().await;
    panicking.says("join y").await;
    server.app.await_figure("sockets_channels", 2.0).await;
    drop(broken);
    panicking.says("panic on purpose").await;
    assert_eq!(panicking.hears().await, Got::End);
    server.emptied().await;
}

#[tokio::test]
async fn on_the_way_down_connections_are_told_and_none_is_cut() {
    let mut server = start(|_| {}).await;
    let mut ws = server.connects().await;
    server.stop.cancel();
    ws.says("still here").await;
    assert_eq!(ws.hears().await, text("still here"), "the end of its HTTP server is not its end");
    let told = tokio::spawn(async move {
        let end = ws.hears().await;
        ws.sends(&frame(0x88, &4100u16.to_be_bytes())).await;
        (end, ws.hears().await)
    });
    server.app.stop().await;
    let reason = "the server goes down: reconnect and resume".to_owned();
    assert_eq!(told.await.expect("a client"), (Got::Close(4100, reason), Got::End));
    assert!(server.app.app.sockets.is_empty());
}
