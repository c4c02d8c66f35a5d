//! Whoever comes back with the last cursor they were given misses nothing and is told nothing twice: by stream and
//! by long poll, cut off anywhere, while others write.

use std::sync::Arc;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::support::app::TestApp;
use crate::support::pigeon::Pigeon;
use crate::support::sse::Events;

const WRITERS: usize = 6;
const EACH: usize = 60;
const FOLLOWERS: u64 = 5;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, max: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % max
    }
}

/// What somebody follows, and what they collect of it.
#[derive(Clone)]
struct Followed {
    app: Arc<TestApp>,
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    event: &'static str,
    field: &'static str,
}

impl Followed {
    fn request(&self, query: &str) -> RequestBuilder {
        let request = self.app.client.request(Method::GET, format!("{}{}{query}", self.app.url, self.path));
        self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value))
    }

    fn take(&self, seen: &mut Vec<String>, event: &str, data: &Value) {
        assert_ne!(event, "reset", "every cursor was one of theirs");
        if event == self.event {
            seen.push(data[self.field].to_string().trim_matches('"').to_owned());
        }
    }

    /// Follows from the beginning until that many have come, and comes back again and again.
    async fn gather(self, count: usize, seed: u64) -> Vec<String> {
        let (mut dice, mut cursor, mut seen) = (Dice(seed), 0, Vec::new());
        while seen.len() < count {
            if dice.up_to(3) == 0 {
                let polled = self.request(&format!("?wait=5&since={cursor}")).send().await.unwrap();
                let polled: Value = polled.json().await.unwrap();
                for event in polled["events"].as_array().unwrap() {
                    self.take(&mut seen, event["event"].as_str().unwrap(), &event["data"]);
                }
                assert_eq!(polled["reset"], false);
                cursor = polled["cursor"].as_i64().unwrap();
                continue;
            }
            let mut events = Events::open(self.request("").header("last-event-id", cursor)).await;
            for _ in 0..1 + dice.up_to(25) {
                let event = events.next().await.expect("an open stream");
                self.take(&mut seen, &event.event, &event.data);
                if seen.len() == count {
                    break;
                }
            }
            cursor = events.last_id.unwrap_or(cursor);
        }
        seen
    }

    async fn all_gather(&self, count: usize) -> Vec<Vec<String>> {
        let followers = (0..FOLLOWERS).map(|seed| tokio::spawn(self.clone().gather(count, seed)));
        futures_util::future::join_all(followers).await.into_iter().map(Result::unwrap).collect()
    }
}

/// A short memory, so that much comes from the store.
async fn app() -> Arc<TestApp> {
    let app = TestApp::with(|config| (config.heads.events_max, config.heads.follower_events_max) = (4, 8)).await;
    Arc::new(app)
}

async fn writes(from: &Pigeon<'_>, to: &Pigeon<'_>, conversation: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..EACH {
        ids.push(from.says(conversation, to, &format!("number {number}")).await);
    }
    ids
}

fn by_number(mut names: Vec<String>) -> Vec<String> {
    names.sort_by_key(|name| name.trim_start_matches("msg_").parse::<i64>().unwrap());
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_many_conversations() {
    let app = app().await;
    let acme = app.platform("Acme").await;
    let ana = app.pigeon(&acme, "Ana").await;
    let mut peers: Vec<(Pigeon<'_>, String)> = Vec::new();
    for number in 0..WRITERS / 2 {
        let peer = app.pigeon(&acme, &format!("Peer{number}")).await;
        let conversation = ana.opens(&peer).await;
        peers.push((peer, conversation));
    }
    let mut writers = Vec::new();
    for (peer, conversation) in &peers {
        writers.push(writes(&ana, peer, conversation));
        writers.push(writes(peer, &ana, conversation));
    }
    let followed = Followed {
        app: Arc::clone(&app),
        path: "/api/v1/pigeons/chat/events",
        headers: vec![("authorization", format!("Bearer {}", ana.token)), ("x-public-key", acme.key.to_string())],
        event: "message.sent",
        field: "message_id",
    };
    let (written, gathered) =
        tokio::join!(futures_util::future::join_all(writers), followed.all_gather(WRITERS * EACH));
    let want = by_number(written.concat());
    for seen in gathered {
        assert_eq!(seen, want);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_with_many_guests() {
    let app = app().await;
    let mai = app.staff("Mai").await;
    let mut guests = Vec::new();
    for _ in 0..WRITERS {
        guests.push(app.guest().await);
    }
    let writers = guests.iter().map(|guest| async move {
        let mut ids = Vec::new();
        for number in 0..EACH {
            ids.push(guest.says(&format!("number {number}")).await["id"].to_string());
        }
        ids
    });
    let followed = Followed {
        app: Arc::clone(&app),
        path: "/api/v1/chat/staff/events",
        headers: vec![("authorization", format!("Bearer {}", mai.token))],
        event: "message",
        field: "id",
    };
    let (written, gathered) =
        tokio::join!(futures_util::future::join_all(writers), followed.all_gather(WRITERS * EACH));
    let want = by_number(written.concat());
    for seen in gathered {
        assert_eq!(seen, want);
    }
}
