//! nginx in front: with its defaults and the lines of `docs/proxies.md`, what happens reaches a follower
//! at once, over WebSocket and as server-sent events.

use std::time::{Duration, Instant};

use roost::config::Config;
use serde_json::json;

use super::Room;
use crate::support::app::{Guest, TestApp, answer};
use crate::support::nginx::Nginx;
use crate::support::sse::Events;

/// What a follower may wait for an event at most.
const AT_ONCE: Duration = Duration::from_millis(200);
/// How many events are timed.
const EVENTS: usize = 15;

/// A server that knows that a proxy stands before it.
async fn behind_a_proxy() -> TestApp {
    behind_a_proxy_with(|_| {}).await
}

async fn behind_a_proxy_with(change: impl FnOnce(&mut Config)) -> TestApp {
    TestApp::with(|config| {
        config.http.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
        config.http.heartbeat_s = 1;
        change(config);
    })
    .await
}

/// The typical one: a machine that is busy with something else makes single ones late, a proxy that holds
/// back makes all of them late.
fn assert_at_once(mut took: Vec<Duration>) {
    took.sort();
    let (best, typical) = (took[0], took[took.len() / 2]);
    eprintln!("through nginx: best {best:?}, median {typical:?} of {}", took.len());
    assert!(typical <= AT_ONCE, "an event takes {typical:?}; the fastest took {best:?}");
}

async fn follows(guest: &Guest<'_>, nginx: &Nginx, after: i64) -> Events {
    let request = guest.app.client.get(format!("{}{}", nginx.url, guest.path("events")));
    Events::through_a_proxy(request.header("last-event-id", after)).await
}

/// The first event of a new stream is the one that a proxy would hold back.
async fn first_events_come_at_once(app: &TestApp, nginx: &Nginx) {
    let guest = app.guest().await;
    let (mut took, mut last) = (Vec::new(), 0);
    for n in 0..EVENTS {
        let mut events = follows(&guest, nginx, last).await;
        assert_eq!(events.next().await.expect("a beginning").event, "resumed");
        let began = Instant::now();
        let text = format!("message {n}");
        let (said, heard) =
            tokio::join!(guest.says(&text), async { (events.next_of("message").await, began.elapsed()) });
        let (event, late) = heard;
        let event = event.expect("the message");
        assert_eq!((&event.data["id"], &event.data["message"]), (&said["id"], &json!(text)));
        took.push(late);
        last = event.id.expect("a cursor");
    }
    assert_at_once(took);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_event_comes_through_nginx_at_once() {
    let app = behind_a_proxy().await;
    let Some(nginx) = Nginx::before(&app.url, "").await else { return };
    first_events_come_at_once(&app, &nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_need_no_line_but_the_address() {
    let app = behind_a_proxy().await;
    let Some(nginx) = Nginx::bare(&app.url).await else { return };
    first_events_come_at_once(&app, &nginx).await;
}

/// The load balancer of `deploy/compose.yaml`, with one of the two nodes gone: nobody who sends or follows notices.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_gone_is_gone_around() {
    let app = behind_a_proxy().await;
    // Free a moment ago, and nobody listens there.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let gone = gone.expect("a free port").to_string();
    let Some(nginx) = Nginx::deployed([&gone, app.url.trim_start_matches("http://")]).await else { return };
    first_events_come_at_once(&app, &nginx).await;
    let guest = app.guest().await;
    for n in 0..EVENTS {
        let sent = app.client.post(format!("{}{}", nginx.url, guest.path("message")));
        let (status, answer) = answer(sent.json(&json!({"message": format!("message {n}")}))).await;
        assert!(status.is_success(), "{status} {answer}");
    }
    assert_eq!(guest.polls(0).await.len(), EVENTS, "each was stored once");
    let metrics = app.client.get(format!("{}/metrics", nginx.url)).send().await.expect("an answer");
    assert_eq!(metrics.status(), 404, "figures are not for the public");
}

/// nginx ends a connection on which nothing comes for `proxy_read_timeout`, a minute by default. Here both
/// are shorter: heartbeats every second against a limit of two.
#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_stream_stays_open() {
    let app = behind_a_proxy().await;
    let Some(nginx) = Nginx::before(&app.url, "proxy_read_timeout 2s;").await else { return };
    let guest = app.guest().await;
    let mut events = follows(&guest, &nginx, 0).await;
    for _ in 0..3 {
        events.beat().await.expect("the stream goes on");
    }
    guest.says("still there?").await;
    let event = events.next_of("message").await.expect("the stream is open");
    assert_eq!(event.data["message"], "still there?");
}

/// The same for sockets: client and server each ask for a sign of life when the other is silent for long.
async fn a_quiet_socket_stays_open(ping_s: u64, activity_timeout_ms: u64, sign: &str) {
    // Three seconds of nothing else.
    let signs = usize::try_from(3000 / activity_timeout_ms.min(ping_s * 1000)).expect("a small number");
    let app = behind_a_proxy_with(|config| config.sockets.ping_s = ping_s).await;
    let room = Room::open(&app).await;
    let Some(nginx) = Nginx::before(&app.url, "proxy_read_timeout 2s;").await else { return };
    let world = json!({"ws": nginx.url, "activityTimeout": activity_timeout_ms, "signs": signs, "events": EVENTS});
    let Some(script) = room.script("latency.mjs", &world) else { return };
    let result = script.result().await;
    assert_eq!((&result["state"], &result["alive"]), (&json!("connected"), &json!(vec![sign; signs])));
    let took = result["took"].as_array().expect("a list").iter();
    assert_at_once(took.map(|ms| Duration::from_secs_f64(ms.as_f64().expect("a number") / 1000.0)).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_through_nginx_lives_on_its_own_pings_and_hears_at_once() {
    a_quiet_socket_stays_open(45, 500, "pusher:pong").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_through_nginx_lives_on_the_servers_pings_and_hears_at_once() {
    a_quiet_socket_stays_open(1, 60_000, "pusher:ping").await;
}

/// Proxies take a connection for dead on which nothing came for a minute; something comes well before.
#[test]
fn no_connection_is_as_quiet_as_a_dead_one() {
    let config = Config::default();
    assert!(config.http.heartbeat_s <= 50 && config.sockets.ping_s <= 50);
}
