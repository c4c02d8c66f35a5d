//! What has reached its receiver, noted beside the way to them.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;

use super::Chat;
use crate::domain::{ConversationId, MessageId, UserId};

/// Letters that wait to be noted. What there is no room for is noted when its receiver lists the conversation.
const WAITING_MAX: usize = 8192;

/// How many are given to the store at once: they share a commit.
const TOGETHER: usize = 256;

/// A letter, and who got it.
type Reached = (ConversationId, UserId, MessageId);

/// What waits to be noted.
#[derive(Default)]
pub(super) struct Deliveries(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    letters: Vec<Reached>,
    is_worked_on: bool,
}

impl Deliveries {
    /// Adds a letter; whether somebody has to begin to work on them.
    fn add(&self, letter: Reached) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.letters.len() < WAITING_MAX {
            waiting.letters.push(letter);
        }
        !std::mem::replace(&mut waiting.is_worked_on, true)
    }

    /// The next ones; `None` when there are none left, and the work is over.
    fn next(&self) -> Option<Vec<Reached>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.letters.is_empty() {
            *waiting = Waiting::default();
            return None;
        }
        let count = waiting.letters.len().min(TOGETHER);
        Some(waiting.letters.drain(..count).collect())
    }
}

impl Chat {
    /// Notes that a letter has reached a user, as [`Chat::reached`] does, but soon and not now: whoever sends it
    /// goes on sending. What is reported while the store commits shares the next commit.
    pub fn reached_soon(self: &Arc<Self>, conversation: ConversationId, user: UserId, letter: MessageId) {
        if self.deliveries.add((conversation, user, letter)) {
            let chat = Arc::clone(self);
            self.runs.tasks().spawn(async move { chat.note_deliveries().await });
        }
    }

    async fn note_deliveries(&self) {
        while let Some(letters) = self.deliveries.next() {
            let noted =
                letters.into_iter().map(|(conversation, user, letter)| self.reached(conversation, user, letter));
            for error in join_all(noted).await.into_iter().filter_map(Result::err) {
                tracing::warn!(error = %error, "that a letter arrived could not be noted");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EventId;

    #[test]
    fn one_works_and_what_is_too_much_is_let_go() {
        let deliveries = Deliveries::default();
        let letter = |number| (ConversationId(1), UserId(2), EventId(number));
        assert!(deliveries.add(letter(0)), "the first has to work");
        for number in 1..=WAITING_MAX as i64 {
            assert!(!deliveries.add(letter(number)));
        }
        let mut noted = Vec::new();
        while let Some(some) = deliveries.next() {
            assert!(some.len() <= TOGETHER);
            noted.extend(some);
        }
        assert_eq!(noted, (0..WAITING_MAX as i64).map(letter).collect::<Vec<_>>());
        assert!(deliveries.add(letter(1)), "the work was over");
    }
}
