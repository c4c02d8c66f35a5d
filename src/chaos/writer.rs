//! Somebody who writes: sends, edits, reacts, reads and deletes, each until it is acknowledged or given up.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::dice::Dice;
use super::doors::{Door, Place};
use super::history::{Deed, MessageName, What};
use super::world::World;

/// A writer with what it draws.
pub struct Writer {
    world: Arc<World>,
    name: Arc<str>,
    dice: Dice,
    count: usize,
    own: Vec<Own>,
}

/// A message of one's own to which something may still be done. Nothing more is done to one after a change that was
/// not acknowledged at once: a request that was given up may still arrive, after those that follow it.
struct Own {
    door: usize,
    place: usize,
    side: usize,
    message: MessageName,
}

/// How a deed ended.
enum Outcome {
    Done { message: MessageName, at_once: bool },
    Unknown,
}

impl Writer {
    /// The writer of that number.
    pub fn new(world: Arc<World>, seed: u64, number: usize) -> Self {
        let name = format!("writer {number}");
        Self { world, dice: Dice::of(seed, &name), name: name.into(), count: 0, own: Vec::new() }
    }

    /// Writes until the run closes.
    pub async fn write(mut self) {
        while !self.world.is_closing() {
            sleep(Duration::from_millis(self.dice.between(5, 120))).await;
            if self.own.is_empty() || self.dice.below(3) > 0 {
                self.send().await;
            } else {
                self.change().await;
            }
        }
    }

    fn text(&mut self) -> String {
        self.count += 1;
        format!("{}-{}", self.name.replace(' ', ""), self.count)
    }

    async fn send(&mut self) {
        let (door, text) = (self.dice.below(self.world.doors.len()), self.text());
        let place = self.dice.below(self.world.doors[door].places().len());
        let side = self.dice.below(2);
        if let Outcome::Done { message, .. } = self.insist(door, place, side, Deed::Send(text)).await {
            self.own.push(Own { door, place, side, message });
        }
    }

    async fn change(&mut self) {
        let at = self.dice.below(self.own.len());
        let own = self.own.swap_remove(at);
        let text = self.text();
        let door = Arc::clone(&self.world.doors[own.door]);
        let Some(deed) = door.draw(&own.message, &text, &mut self.dice) else { return };
        let outcome = self.insist(own.door, own.place, own.side, deed.clone()).await;
        if matches!(outcome, Outcome::Done { at_once: true, .. }) && !matches!(deed, Deed::Delete(_)) {
            self.own.push(own);
        }
    }

    async fn insist(&mut self, door: usize, place: usize, side: usize, deed: Deed) -> Outcome {
        let patience = Duration::from_millis(self.dice.between(8_000, 40_000));
        let each = Duration::from_millis(self.dice.between(1_500, 6_000));
        let door = Arc::clone(&self.world.doors[door]);
        let place = &door.places()[place];
        let ask = door.ask(place, side, &deed, &self.world.fresh_key());
        self.add(place, What::Tries(deed.clone()));
        let (began, mut tries) = (Instant::now(), 0);
        while began.elapsed() < patience {
            tries += 1;
            match self.world.http.call(&self.world.url, &ask, each).await {
                Some(told) if told.status < 300 || is_gone_already(&deed, told.status, tries) => {
                    let Some(message) = message(&*door, &deed, &told.body) else {
                        return self.refused(place, deed, told.status, told.body.to_string());
                    };
                    self.world.count(format!("{}: {}", door.name(), kind(&deed)));
                    self.add(place, What::Done(deed, message.clone()));
                    return Outcome::Done { message, at_once: tries == 1 };
                }
                Some(told) if told.status < 500 => {
                    return self.refused(place, deed, told.status, told.body.to_string());
                }
                _ => self.world.count("requests made again"),
            }
            sleep(Duration::from_millis(self.dice.between(20, 200))).await;
        }
        self.world.count("given up");
        self.add(place, What::GivesUp(deed));
        Outcome::Unknown
    }

    fn refused(&self, place: &Place, deed: Deed, status: u16, said: String) -> Outcome {
        self.add(place, What::Refused(deed, status, said));
        Outcome::Unknown
    }

    fn add(&self, place: &Place, what: What) {
        self.world.history.add(&self.name, place.number, what);
    }

    /// Sends one last message to a conversation, however long it takes; `None` when it is given up.
    pub async fn last(&mut self, door: usize, place: usize) -> Option<MessageName> {
        let text = self.text();
        match self.insist(door, place, 0, Deed::Send(text)).await {
            Outcome::Done { message, .. } => Some(message),
            Outcome::Unknown => None,
        }
    }
}

/// What was done before its answer was lost is done: a deletion is not found the second time.
fn is_gone_already(deed: &Deed, status: u16, tries: usize) -> bool {
    status == 404 && tries > 1 && matches!(deed, Deed::Delete(_))
}

fn message(door: &dyn Door, deed: &Deed, answer: &serde_json::Value) -> Option<MessageName> {
    match deed {
        Deed::Send(_) => door.sent(answer),
        Deed::Edit(message, _) | Deed::React(message, _) | Deed::Delete(message) | Deed::Read(message) => {
            Some(message.clone())
        }
    }
}

fn kind(deed: &Deed) -> &'static str {
    match deed {
        Deed::Send(_) => "sent",
        Deed::Edit(..) => "edited",
        Deed::React(..) => "reacted",
        Deed::Delete(_) => "deleted",
        Deed::Read(_) => "read",
    }
}
