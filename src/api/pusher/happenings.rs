//! What the door tells of its channels, with a little patience: who changes a page leaves and comes back
//! within a moment, and nobody wants to be told of both.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::{Happened, PlatformId, Witness};

/// How long a leaving waits for the coming back, by the protocol at most 3 s.
const PATIENCE: Duration = Duration::from_secs(3);
/// Leavings that wait at once; one more is told at once.
const WAITING_MAX: usize = 10_000;

/// Tells a witness, leavings a little later, and leavings and comings that cancel each other not at all.
#[derive(Clone)]
pub struct Happenings {
    witness: Arc<dyn Witness>,
    leavings: Arc<Mutex<Leavings>>,
}

impl Happenings {
    /// Tells that witness.
    pub fn new(witness: Arc<dyn Witness>) -> Self {
        Self { witness, leavings: Arc::default() }
    }

    /// Whether anybody wants to be told.
    pub fn wanted(&self, app: PlatformId) -> bool {
        self.witness.wants(app)
    }

    /// It happened. Called on a task of the runtime.
    pub fn note(&self, app: PlatformId, happened: Happened) {
        if !self.witness.wants(app) {
            return;
        }
        let mut leavings = self.lock();
        let was_idle = leavings.waiting.is_empty();
        // Under the lock: a coming must not overtake the leaving before it.
        if let Some(told) = leavings.note(app, happened, Instant::now()) {
            self.witness.saw(app, told);
        }
        if was_idle && !leavings.waiting.is_empty() {
            tokio::spawn(self.clone().tell_later());
        }
    }

    /// Tells what waited long enough, until nothing waits.
    async fn tell_later(self) {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let mut leavings = self.lock();
            leavings.due(Instant::now()).for_each(|(app, happened)| self.witness.saw(app, happened));
            if leavings.waiting.is_empty() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Leavings> {
        self.leavings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A channel, and a user of it when it is about one.
type Key = (PlatformId, String, Option<String>);

/// Leavings that wait, with the time up to which they do.
#[derive(Default)]
struct Leavings {
    waiting: HashMap<Key, Instant>,
}

impl Leavings {
    /// What is to be told now.
    fn note(&mut self, app: PlatformId, happened: Happened, now: Instant) -> Option<Happened> {
        let Some((key, is_leaving)) = key(app, &happened) else { return Some(happened) };
        if !is_leaving {
            return self.waiting.remove(&key).is_none().then_some(happened);
        }
        if self.waiting.len() >= WAITING_MAX {
            return Some(happened);
        }
        self.waiting.insert(key, now + PATIENCE);
        None
    }

    /// Takes out what waited long enough.
    fn due(&mut self, now: Instant) -> impl Iterator<Item = (PlatformId, Happened)> {
        let due = self.waiting.extract_if(move |_, until| *until <= now);
        due.map(|((app, channel, user), _)| match user {
            Some(user_id) => (app, Happened::MemberRemoved { channel, user_id }),
            None => (app, Happened::ChannelVacated { channel }),
        })
    }
}

/// What a coming and its leaving have in common, and which of the two it is; `None` for what is neither.
fn key(app: PlatformId, happened: &Happened) -> Option<(Key, bool)> {
    let of =
        |channel: &String, user: Option<&String>, is_leaving| Some(((app, channel.clone(), user.cloned()), is_leaving));
    match happened {
        Happened::ChannelOccupied { channel } => of(channel, None, false),
        Happened::ChannelVacated { channel } => of(channel, None, true),
        Happened::MemberAdded { channel, user_id } => of(channel, Some(user_id), false),
        Happened::MemberRemoved { channel, user_id } => of(channel, Some(user_id), true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: PlatformId = PlatformId(1);

    fn occupied() -> Happened {
        Happened::ChannelOccupied { channel: "a".to_owned() }
    }

    fn vacated() -> Happened {
        Happened::ChannelVacated { channel: "a".to_owned() }
    }

    #[test]
    fn a_change_of_page_makes_no_noise() {
        let (mut leavings, now) = (Leavings::default(), Instant::now());
        assert_eq!(leavings.note(APP, occupied(), now), Some(occupied()));
        assert_eq!(leavings.note(APP, vacated(), now), None);
        assert_eq!(leavings.note(PlatformId(2), occupied(), now), Some(occupied()), "of another app");
        assert_eq!(leavings.note(APP, occupied(), now), None);
        assert_eq!(leavings.due(now + PATIENCE).count(), 0);
    }

    #[test]
    fn who_stays_away_has_left() {
        let (mut leavings, now) = (Leavings::default(), Instant::now());
        let gone = Happened::MemberRemoved { channel: "a".to_owned(), user_id: "1".to_owned() };
        assert_eq!(leavings.note(APP, vacated(), now), None);
        assert_eq!(leavings.note(APP, gone.clone(), now + PATIENCE / 2), None);
        assert_eq!(leavings.due(now + PATIENCE).collect::<Vec<_>>(), [(APP, vacated())]);
        assert_eq!(leavings.due(now + PATIENCE * 2).collect::<Vec<_>>(), [(APP, gone)]);
        assert_eq!(leavings.note(APP, occupied(), now), Some(occupied()));
    }

    #[test]
    fn what_waits_is_bounded() {
        let (mut leavings, now) = (Leavings::default(), Instant::now());
        let left = |number: usize| Happened::ChannelVacated { channel: number.to_string() };
        assert!((0..WAITING_MAX).all(|number| leavings.note(APP, left(number), now).is_none()));
        assert_eq!(leavings.note(APP, left(WAITING_MAX), now), Some(left(WAITING_MAX)));
    }
}
