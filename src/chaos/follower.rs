//! Somebody who follows: comes by one transport, goes, comes back by another with the cursor that it has.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::dice::Dice;
use super::doors::{Door, Subject};
use super::history::{Change, What};
use super::http::{Ask, Events};
use super::servers::held;
use super::world::World;
use crate::bench::frames::{TEXT, masked};
use crate::bench::pusher::{self, Connection};

/// How long a follower waits for something before it comes anew, and for an answer to a request.
const QUIET: Duration = Duration::from_secs(4);

/// How long a follower may still take for what it has not been told when all is over.
pub const CATCH_UP: Duration = Duration::from_secs(60);

/// A follower with its cursor.
pub struct Follower {
    world: Arc<World>,
    door: Arc<dyn Door>,
    subject: Subject,
    name: Arc<str>,
    number: usize,
    dice: Dice,
    /// Everything up to here was told, of every conversation.
    cursor: i64,
    /// How far each conversation was told by sockets: they have a cursor a channel.
    reached: HashMap<usize, i64>,
    told: HashMap<usize, HashSet<String>>,
}

impl Follower {
    /// The follower of that number of a subject.
    pub fn new(world: Arc<World>, seed: u64, door: Arc<dyn Door>, subject: Subject, number: usize) -> Self {
        let name = format!("follower {number} ({})", subject.name);
        let dice = Dice::of(seed, &name);
        Self {
            world,
            door,
            subject,
            name: name.into(),
            number,
            dice,
            cursor: 0,
            reached: HashMap::new(),
            told: HashMap::new(),
        }
    }

    /// Follows until it has been told the last message of each conversation, or too long after the end.
    pub async fn follow(mut self) {
        let mut ends = None;
        while !self.has_all() {
            if !held(&self.world.last).is_empty() {
                let end = *ends.get_or_insert_with(|| Instant::now() + CATCH_UP);
                if Instant::now() > end {
                    return;
                }
            }
            // Whatever goes wrong with a connection that is cut or with a server that is gone: it comes anew.
            let most = 1 + self.dice.below(60);
            let _ = match self.dice.below(4) {
                0 => self.by_long_poll().await,
                1 if self.subject.polled.is_some() => self.by_list().await,
                1 | 2 if self.subject.socket_of.is_some() => self.by_socket(most).await,
                _ => self.by_stream(most).await,
            };
            tokio::time::sleep(Duration::from_millis(self.dice.between(1, 100))).await;
        }
    }

    fn has_all(&self) -> bool {
        let last = held(&self.world.last);
        let has = |place: &usize| {
            last.get(place).is_some_and(|message| self.told.get(place).is_some_and(|told| told.contains(message)))
        };
        !last.is_empty() && self.subject.places.iter().all(has)
    }

    fn comes(&self, by: &'static str) {
        self.world.count(format!("followed by {by}"));
        for place in &self.subject.places {
            self.world.history.add(&self.name, *place, What::Comes(by, self.cursor));
        }
    }

    /// Hears an event; `None` ends the connection.
    fn hear(&mut self, kind: &str, data: &Value, cursor: Option<i64>, by_socket: bool) -> Option<()> {
        if kind == "reset" {
            self.world.history.add(&self.name, self.subject.places[0], What::Reset);
            self.cursor = cursor.unwrap_or(self.cursor);
            return None;
        }
        let cursor = cursor?;
        let heard = self.door.heard(kind, data);
        let heard = heard.and_then(|(key, change)| Some((self.place(key.as_deref())?, change)));
        let place = heard.as_ref().map(|(place, _)| *place);
        let told = self.tell(heard, cursor, by_socket);
        match (by_socket, place) {
            (true, Some(place)) => self.advance(Some(place), cursor),
            (true, None) => {}
            (false, _) => self.advance(None, cursor),
        }
        told
    }

    fn tell(&mut self, heard: Option<(usize, Change)>, cursor: i64, by_socket: bool) -> Option<()> {
        if let Some((place, change)) = heard {
            // A stream begins where the conversation that is furthest behind is: of the others it tells more than is
            // missing. On a socket nothing is told twice.
            let is_known = !by_socket && cursor <= self.reached(place);
            if is_known {
                return Some(());
            }
            if let Change::Sent(message, _) = &change {
                self.told.entry(place).or_default().insert(message.clone());
            }
            self.world.history.add(&self.name, place, What::Told(cursor, change));
            self.world.count("told");
        }
        Some(())
    }

    /// How far a conversation was told.
    fn reached(&self, place: usize) -> i64 {
        self.reached.get(&place).map_or(self.cursor, |reached| self.cursor.max(*reached))
    }

    /// Goes on from what was told of one conversation, or of all.
    fn advance(&mut self, place: Option<usize>, cursor: i64) {
        match place {
            Some(place) => {
                let reached = self.reached(place).max(cursor);
                self.reached.insert(place, reached);
                let least = self.subject.places.iter().map(|place| self.reached(*place)).min();
                self.cursor = self.cursor.max(least.unwrap_or(cursor));
            }
            None => self.cursor = self.cursor.max(cursor),
        }
    }

    /// The number of the conversation of that key; without a key the only one.
    fn place(&self, key: Option<&str>) -> Option<usize> {
        let Some(key) = key.filter(|_| self.subject.places.len() > 1) else {
            return self.subject.places.first().copied();
        };
        self.door.places().iter().find(|place| place.key == key).map(|place| place.number)
    }

    fn events(&self, wait: &str) -> Ask {
        let mut ask = self.subject.events.clone();
        ask.path = format!("{}{wait}last_event_id={}", ask.path, self.cursor);
        ask
    }

    async fn by_long_poll(&mut self) -> Option<()> {
        self.comes("long poll");
        let told = self.world.http.call(&self.world.url, &self.events("wait=2&"), QUIET + QUIET).await?;
        if told.body["reset"] == true {
            self.hear("reset", &Value::Null, told.body["cursor"].as_i64(), false);
            return None;
        }
        for event in told.body["events"].as_array()? {
            // One without a number is told and not kept.
            let _ = self.hear(event["event"].as_str()?, &event["data"], event["id"].as_i64(), false);
        }
        self.cursor = self.cursor.max(told.body["cursor"].as_i64()?);
        Some(())
    }

    async fn by_stream(&mut self, most: usize) -> Option<()> {
        self.comes("stream");
        let ask = self.events("");
        let answer = timeout(QUIET, self.world.http.open(&self.world.url, &ask)).await.ok()??;
        if !answer.status().is_success() {
            return None;
        }
        let mut events = Events::of(answer);
        for _ in 0..most {
            let event = events.next(QUIET).await?;
            if event.kind == "reset" {
                return self.hear("reset", &Value::Null, event.id, false);
            }
            let _ = self.hear(&event.kind, &event.data, event.id, false);
        }
        Some(())
    }

    /// A guest's list from a number on.
    async fn by_list(&mut self) -> Option<()> {
        self.comes("poll");
        let mut ask = self.subject.polled.clone()?;
        ask.path = format!("{}{}", ask.path, self.cursor);
        let told = self.world.http.call(&self.world.url, &ask, QUIET).await?;
        for message in told.body["data"].as_array()? {
            self.hear("message", message, message["id"].as_i64(), false);
        }
        Some(())
    }

    async fn by_socket(&mut self, most: usize) -> Option<()> {
        self.comes("socket");
        let (world, user) = (Arc::clone(&self.world), self.subject.socket_of?);
        let address = world.url.strip_prefix("http://")?;
        let app = pusher::App {
            address: address.parse().ok()?,
            host: address.to_owned(),
            key: world.pigeons.key.clone(),
            id: world.pigeons.key.clone(),
            secret: world.secret.clone(),
        };
        let connection = timeout(QUIET, Connection::open(&app, self.number)).await.ok()?.ok()?;
        for channel in world.pigeons.channels(user) {
            let place = channel.rsplit_once('.').and_then(|(_, key)| self.place(Some(key)));
            let since = place.map_or(self.cursor, |place| self.reached(place));
            let body = json!({"socket_id": connection.socket_id, "channel_name": channel, "since": since});
            let ask = world.pigeons.as_user(user, Ask::post("/broadcasting/auth", body));
            let told = world.http.call(&world.url, &ask, QUIET).await?;
            let wish = json!({"event": "pusher:subscribe", "data": {"channel": channel, "auth": told.body["auth"]}});
            pusher::write(&connection.writer, &masked(TEXT, wish.to_string().as_bytes())).ok()?;
        }
        let (tell, mut told) = mpsc::unbounded_channel();
        let following = connection.follow(move |frame, _| Ok(hand_on(frame, &tell)));
        tokio::pin!(following);
        for _ in 0..most {
            let (kind, data) = tokio::select! {
                biased;
                heard = told.recv() => heard?,
                _ = &mut following => return None,
                () = tokio::time::sleep(QUIET) => return None,
            };
            if kind == "reset" {
                return self.hear("reset", &Value::Null, data["cursor"].as_i64(), true);
            }
            let _ = self.hear(&kind, &data, data["cursor"].as_i64(), true);
        }
        Some(())
    }
}

/// Hands a frame on that is not the protocol's own; says whether it was one.
fn hand_on(frame: &[u8], tell: &mpsc::UnboundedSender<(String, Value)>) -> bool {
    let Ok(frame) = serde_json::from_slice::<Value>(frame) else { return false };
    let Some(kind) = frame["event"].as_str().filter(|kind| !kind.starts_with("pusher:")) else { return false };
    let data = frame["data"].as_str().and_then(|data| serde_json::from_str(data).ok()).unwrap_or(Value::Null);
    let _ = tell.send((kind.to_owned(), data));
    true
}
