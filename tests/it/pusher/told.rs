//! What the door tells other parts: the witness of what happens on channels, and who replays what was
//! missed. Here both are the test's own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use reqwest::StatusCode;
use roost::api::pusher;
use roost::chat::Resume;
use roost::domain::{EventId, Happened, Platform, PlatformId, UserId, Witness};
use roost::http::{server, websocket};
use roost::realtime::sockets::{Published, Socket, Sockets};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::app::{TestApp, until};
use crate::support::engine;
use crate::support::pusher::{Client, path};

/// Everything that happened.
#[derive(Default)]
struct Diary(Mutex<Vec<Happened>>);

impl Witness for Diary {
    fn wants(&self, _: PlatformId) -> bool {
        true
    }

    fn saw(&self, _: PlatformId, happened: Happened) {
        self.0.lock().unwrap().push(happened);
    }
}

/// Tells one event that was missed, while another comes.
struct OneMissed(Arc<Sockets>);

impl Resume for OneMissed {
    fn resume(&self, socket: &Socket, channel: String, since: EventId, _: UserId) {
        let frame = |name: &str| pusher::frame::event(name, &channel, "{}");
        let published = |name, cursor| Published { frame: frame(name), cursor, ..Published::default() };
        let next = EventId(since.0 + 1);
        // Told by the replay, and published meanwhile: it comes once.
        self.0.publish(socket.app(), &channel, published("doubled", Some(next)));
        self.0.publish(socket.app(), &channel, published("live", Some(EventId(next.0 + 1))));
        socket.send(frame("missed"));
        assert!(self.0.release(socket, &[&channel], next));
    }

    fn told_through(&self, _: &str) -> Option<roost::domain::EventId> {
        None
    }
}

/// A door over the same system, with those parts.
struct Beside {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Beside {
    async fn open(app: &TestApp, witness: Arc<dyn Witness>) -> Self {
        let chat = &app.app.chat;
        let rules = pusher::session::Rules { client_events: true, client_events_per_second: 10, channels_max: 10 };
        let (routes, _) = pusher::router(Arc::new(pusher::Parts {
            chat: Arc::clone(chat),
            web: Arc::clone(&app.app.web),
            rules: Arc::new(rules),
            limits: websocket::Limits::new(&app.config.sockets),
            activity_timeout_s: 120,
            counts: true,
            origins: Vec::new(),
            resume: Arc::new(OneMissed(Arc::clone(chat.sockets()))),
            happenings: pusher::Happenings::new(witness),
            ping: pusher::frame::ping(),
        }));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        tokio::spawn(server::serve(listener, routes, Arc::clone(&app.app.web), stop.clone(), stop.clone()));
        Self { address, _stop: stop.drop_guard() }
    }

    async fn connect(&self, app: &TestApp, platform: &Platform) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let mut client = Client::over(stream, app, platform, &path(platform)).await;
        let hello = client.next().await;
        client.id = hello["data"]["socket_id"].as_str().unwrap().to_owned();
        client
    }
}

fn channel(name: &str) -> String {
    name.to_owned()
}

#[tokio::test]
async fn the_witness_sees_what_happens_in_order() {
    if engine::is_other("a witness of one node's own") {
        return;
    }
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let diary = Arc::new(Diary::default());
    let door = Beside::open(&app, Arc::clone(&diary) as Arc<dyn Witness>).await;
    let (mut ana, mut rui) = (door.connect(&app, &acme).await, door.connect(&app, &acme).await);
    ana.joins("presence-a", "ana").await;
    rui.joins("presence-a", "rui").await;
    ana.next_of("pusher_internal:member_added").await;
    ana.subscribes("private-cache-a").await;
    ana.whispers("presence-a", "client-x", json!({"n": 1})).await;
    assert_eq!(rui.next_of("client-x").await["user_id"], "ana");
    // Who comes back within a moment has not been away.
    rui.leaves("presence-a").await;
    rui.joins("presence-a", "rui").await;
    let socket_id = ana.id.clone();
    drop(ana);
    let want = vec![
        Happened::ChannelOccupied { channel: channel("presence-a") },
        Happened::MemberAdded { channel: channel("presence-a"), user_id: "ana".to_owned() },
        Happened::MemberAdded { channel: channel("presence-a"), user_id: "rui".to_owned() },
        Happened::ChannelOccupied { channel: channel("private-cache-a") },
        Happened::SubscriptionCount { channel: channel("private-cache-a"), count: 1 },
        Happened::CacheMiss { channel: channel("private-cache-a") },
        Happened::ClientEvent {
            channel: channel("presence-a"),
            event: "client-x".to_owned(),
            data: Some(r#"{"n":1}"#.to_owned()),
            socket_id,
            user_id: Some("ana".to_owned()),
        },
        Happened::SubscriptionCount { channel: channel("private-cache-a"), count: 0 },
    ];
    until(|| diary.0.lock().unwrap().len() >= want.len() + 2).await;
    let mut seen = diary.0.lock().unwrap().clone();
    let late = seen.split_off(want.len());
    assert_eq!(seen, want);
    assert!(late.contains(&Happened::ChannelVacated { channel: channel("private-cache-a") }), "{late:?}");
    assert!(late.contains(&Happened::MemberRemoved { channel: channel("presence-a"), user_id: "ana".to_owned() }));
    assert_eq!(late.len(), 2, "{late:?}");
}

#[tokio::test]
async fn what_was_missed_comes_between_the_welcome_and_what_is_new() {
    let app = TestApp::start().await;
    let (ana, _, conversation) = app.pair().await;
    let door = Beside::open(&app, Arc::new(roost::domain::Nobody)).await;
    let mut client = door.connect(&app, &ana.platform).await;
    let name = format!("private-conversation.{conversation}");
    assert_eq!(ana.enters(&mut client, &name, &[("since", "7")]).await, StatusCode::OK);
    let mut heard = Vec::new();
    while heard.last().is_none_or(|event| event != "live") {
        heard.push(client.next().await["event"].clone());
    }
    let want = ["pusher_internal:subscription_succeeded", "pusher_internal:subscription_count", "missed", "live"];
    assert_eq!(heard, want);
    // What is bound to an authorisation is good for one subscription.
    client.leaves(&name).await;
    client.subscribes(&name).await;
    assert_eq!(client.so_far().await.len(), 1, "the count alone");
}
