//! What this node hears on the bus: the topics of what somebody here follows, and for a while of what somebody did.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::{ConversationId, ConversationKind, PlatformId, Scope, UserId};

/// The topics, by what they are about.
#[derive(Debug, Default)]
pub(super) struct Topics {
    held: Mutex<HashMap<Scope, Topic>>,
}

#[derive(Debug, Default)]
struct Topic {
    followers: usize,
    /// When the last of them left.
    left: Option<Instant>,
}

impl Topics {
    /// Somebody follows; whether the topic has to be subscribed to.
    pub fn enter(&self, scope: Scope) -> bool {
        let mut held = self.lock();
        let is_new = !held.contains_key(&scope);
        let topic = held.entry(scope).or_default();
        topic.followers += 1;
        topic.left = None;
        is_new
    }

    /// Somebody left.
    pub fn leave(&self, scope: Scope, now: Instant) {
        if let Some(topic) = self.lock().get_mut(&scope) {
            topic.followers = topic.followers.saturating_sub(1);
            if topic.followers == 0 {
                topic.left = Some(now);
            }
        }
    }

    /// Takes out what nobody has followed for that long.
    pub fn abandoned(&self, since: Duration, now: Instant) -> Vec<Scope> {
        let mut held = self.lock();
        let is_over = |topic: &Topic| topic.left.is_some_and(|left| now.duration_since(left) >= since);
        let over: Vec<_> = held.iter().filter(|(_, topic)| is_over(topic)).map(|(scope, _)| *scope).collect();
        for scope in &over {
            held.remove(scope);
        }
        over
    }

    /// Those that are followed and wider than a conversation.
    pub fn wide(&self) -> Vec<Scope> {
        let held = self.lock();
        held.iter()
            .filter(|(scope, topic)| topic.followers > 0 && !matches!(scope, Scope::Conversation(_)))
            .map(|(scope, _)| *scope)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Scope, Topic>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A scope's name on the bus. The whole log has none: it is its four kinds.
pub(super) fn name(scope: Scope) -> String {
    let mut name = String::with_capacity(24);
    let written = match scope {
        Scope::All => write!(name, "k:"),
        Scope::Kind(kind) => write!(name, "k:{}", kind.as_str()),
        Scope::Conversation(id) => write!(name, "c:{}", id.0),
        Scope::Platform(id) => write!(name, "p:{}", id.0),
        Scope::User(user, kind) => write!(name, "u:{}:{}", user.0, kind.as_str()),
    };
    debug_assert!(written.is_ok(), "a string takes what is written");
    name
}

/// The scope of a name.
pub(super) fn parse(name: &str) -> Option<Scope> {
    let (kind, rest) = name.split_once(':')?;
    Some(match kind {
        "c" => Scope::Conversation(ConversationId(rest.parse().ok()?)),
        "k" => Scope::Kind(ConversationKind::parse(rest)?),
        "p" => Scope::Platform(PlatformId(rest.parse().ok()?)),
        "u" => {
            let (user, kind) = rest.split_once(':')?;
            Scope::User(UserId(user.parse().ok()?), ConversationKind::parse(kind)?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let mut scopes = vec![
            Scope::Conversation(ConversationId(7)),
            Scope::Platform(PlatformId(3)),
            Scope::User(UserId(5), ConversationKind::Direct),
        ];
        scopes.extend(ConversationKind::ALL.map(Scope::Kind));
        for scope in scopes {
            assert_eq!(parse(&name(scope)), Some(scope));
        }
        for strange in ["", "c", "c:", "c:x", "k:", "u:1", "u:1:x", "s:channel"] {
            assert_eq!(parse(strange), None, "{strange}");
        }
    }

    #[test]
    fn a_topic_is_left_some_time_after_its_last_follower() {
        let (topics, scope, start) = (Topics::default(), Scope::Conversation(ConversationId(1)), Instant::now());
        let minute = Duration::from_secs(60);
        assert!(topics.enter(scope));
        assert!(!topics.enter(scope));
        topics.leave(scope, start);
        assert!(topics.abandoned(minute, start + 2 * minute).is_empty(), "one is still there");
        topics.leave(scope, start);
        assert!(topics.abandoned(minute, start + minute / 2).is_empty(), "not yet");
        assert!(!topics.enter(scope), "somebody came back, and it was never left");
        topics.leave(scope, start);
        assert_eq!(topics.abandoned(minute, start + minute), vec![scope]);
        assert!(topics.enter(scope));
    }
}
