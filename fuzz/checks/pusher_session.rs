//! What holds for a client's session at the Pusher door, whatever the client sends, a line a frame: it
//! never panics, holds no more channels than it may, lets nothing out that is too large, and whispers only
//! where it is subscribed and as often as it may. The fuzz target and the test suite both ask this.
//!
//! Nobody finds a signature by chance: `"auth":"?"` in a frame stands for the one that would be right.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roost::api::pusher::names::{self, Kind};
use roost::api::pusher::session::{Action, DATA_BYTES_MAX, Rules, Session, WATCHED_MAX};
use roost::domain::{Platform, PlatformId, Timestamp};
use roost::http::signature;
use serde_json::{Value, json};

/// Channels of one connection, here.
const CHANNELS_MAX: usize = 4;
/// Client events in a second.
const PER_SECOND: u32 = 3;
/// The socket.
const SOCKET: &str = "1234.1234";
/// The largest frame that a client can bring about for itself: a channel's name is repeated, twice as
/// long as one may be at the most, and each character of it may become six, and an escape twelve.
const FRAME_MAX: usize = 32 << 10;

/// Asks it of some lines; a millisecond passes with each.
pub fn check(data: &[u8]) {
    let app = app();
    let rules = Rules { client_events: true, client_events_per_second: PER_SECOND, channels_max: CHANNELS_MAX };
    let mut world = World {
        session: Session::new(Arc::clone(&app), Arc::new(rules), SOCKET),
        held: BTreeMap::new(),
        whispers: Vec::new(),
    };
    let began = Instant::now();
    for (at, line) in data.split(|byte| *byte == b'\n').take(10_000).enumerate() {
        let Ok(text) = std::str::from_utf8(line) else { continue };
        let text = signed(&app, text);
        world.frame(&text, began + Duration::from_millis(at as u64));
    }
}

fn app() -> Arc<Platform> {
    Arc::new(Platform {
        id: PlatformId(1),
        key: uuid_of(7),
        name: "Acme".to_owned(),
        slug: "acme".to_owned(),
        secret: "7ad3773142a6692b25b8".to_owned(),
        created_at: Timestamp(0),
    })
}

fn uuid_of(byte: u8) -> uuid::Uuid {
    uuid::Uuid::from_bytes([byte; 16])
}

/// Puts the right signature where one is asked for.
fn signed(app: &Platform, text: &str) -> String {
    if !text.contains(r#""?""#) {
        return text.to_owned();
    }
    let Ok(mut frame) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    let data = &frame["data"];
    let signature = match (data["channel"].as_str(), data["user_data"].as_str()) {
        (Some(channel), _) => signature::subscription(&app.secret, SOCKET, channel, data["channel_data"].as_str()),
        (None, Some(user_data)) => signature::sign_in(&app.secret, SOCKET, user_data),
        (None, None) => return text.to_owned(),
    };
    if data["auth"] == "?" {
        frame["data"]["auth"] = json!(format!("{}:{signature}", app.key));
    }
    frame.to_string()
}

/// The session, and what has to be true of it.
struct World {
    session: Session,
    held: BTreeMap<String, Option<String>>,
    whispers: Vec<Instant>,
}

impl World {
    fn frame(&mut self, text: &str, now: Instant) {
        match self.session.receive(text, now) {
            None => {}
            Some(Action::Tell(frame)) => assert!(frame.len() <= FRAME_MAX, "{} bytes for {text}", frame.len()),
            Some(Action::Subscribe(entry)) => {
                assert!(names::is_channel(&entry.channel) && entry.kind == Kind::of(&entry.channel));
                assert_eq!(entry.kind.is_presence(), entry.member.is_some());
                let user = entry.member.map(|member| member.user_id);
                self.session.entered(&entry.channel, user.as_deref());
                assert!(self.held.insert(entry.channel, user).is_none(), "it was subscribed");
                assert!(self.held.len() <= CHANNELS_MAX);
            }
            Some(Action::Unsubscribe(channel)) => assert!(self.held.remove(&channel).is_some(), "it was not"),
            Some(Action::Whisper(whisper)) => {
                assert!(names::is_client_event(&whisper.event) && Kind::of(&whisper.channel).takes_client_events());
                assert_eq!(self.held.get(&whisper.channel), Some(&whisper.user), "who is somewhere is who was let in");
                assert!(whisper.data.is_none_or(|data| data.len() <= DATA_BYTES_MAX));
                self.whispers.push(now);
                // At once as many as a second may have, and then evenly: twice as many in any second.
                let second = self.whispers.iter().filter(|at| now - **at < Duration::from_secs(1)).count();
                assert!(second <= 2 * PER_SECOND as usize, "{second} in a second");
            }
            Some(Action::SignIn(identity)) => {
                assert!(names::is_user(&identity.user) && identity.watched.len() <= WATCHED_MAX);
                self.session.signed_in(&identity.user);
            }
        }
    }
}
