//! Webhooks out: endpoints that are told what happens, what they are told, and when they are told again.

use std::fmt;
use std::time::Duration;

use super::{
    Change, ConversationId, DeliveryId, Event, EventBody, EventId, Happened, PlatformId, Receipt, RunState, Timestamp,
    WebhookId,
};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$inner])* $variant),+ }

        impl $name {
            /// Their names.
            pub const NAMES: &'static [&'static str] = &[$($word),+];

            /// The name in the store and on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The one of that name.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(
    /// How an endpoint is spoken to.
    HookForm {
        /// Standard Webhooks: one event of the log a request.
        Standard = "standard",
        /// Pusher's: what happens on channels, signed with the platform's secret.
        Pusher = "pusher",
    }
);

words!(
    /// How far a delivery has come.
    DeliveryState {
        /// Another one of its lane comes before it.
        Waiting = "waiting",
        /// It is sent as soon as its time has come.
        Due = "due",
        /// The endpoint took it.
        Delivered = "delivered",
        /// It was given up.
        Failed = "failed",
    }
);

words!(
    /// What an event of the log is called outside.
    EventType {
        /// A message was added.
        MessageCreated = "message.created",
        /// A message's text was edited.
        MessageEdited = "message.edited",
        /// A message was deleted.
        MessageDeleted = "message.deleted",
        /// Somebody put a reaction to a message.
        ReactionAdded = "reaction.added",
        /// Somebody took a reaction away.
        ReactionRemoved = "reaction.removed",
        /// Messages reached their receiver.
        ReceiptDelivered = "receipt.delivered",
        /// The receiver read messages.
        ReceiptRead = "receipt.read",
        /// A member of staff took a conversation, or was given it.
        ConversationAssigned = "conversation.assigned",
        /// The member of staff who had a conversation handed it back.
        ConversationReleased = "conversation.released",
        /// A conversation was closed.
        ConversationClosed = "conversation.closed",
        /// A message reopened a conversation.
        ConversationReopened = "conversation.reopened",
        /// A conversation's contact, metadata, title, expiry or flags were edited.
        ConversationEdited = "conversation.edited",
        /// An answer of the assistant waits or begins.
        AnswerStarted = "answer.started",
        /// More of an answer that is being made. Told only to who names it: there can be many a second.
        AnswerText = "answer.text",
        /// An answer ended. The message that holds it was told before.
        AnswerEnded = "answer.ended",
    }
);

impl EventType {
    /// What an event is called. It stays the same when the message that it was about is deleted.
    pub fn of(event: &Event) -> Self {
        match &event.body {
            EventBody::MessageAdded(_) | EventBody::MessageGone => Self::MessageCreated,
            EventBody::MessageEdited(_) | EventBody::Void => Self::MessageEdited,
            EventBody::MessageDeleted { .. } => Self::MessageDeleted,
            EventBody::Reacted { removed: false, .. } => Self::ReactionAdded,
            EventBody::Reacted { removed: true, .. } => Self::ReactionRemoved,
            EventBody::Received { receipt: Receipt::Delivered, .. } => Self::ReceiptDelivered,
            EventBody::Received { receipt: Receipt::Read, .. } => Self::ReceiptRead,
            EventBody::StateChanged { change, .. } => match change {
                Change::Assigned => Self::ConversationAssigned,
                Change::Released => Self::ConversationReleased,
                Change::Closed => Self::ConversationClosed,
                Change::Reopened => Self::ConversationReopened,
                Change::Edited => Self::ConversationEdited,
            },
            EventBody::RunChanged { state: RunState::Ended(_), .. } => Self::AnswerEnded,
            EventBody::RunChanged { .. } => Self::AnswerStarted,
            EventBody::RunTold(_) => Self::AnswerText,
        }
    }
}

impl Happened {
    /// Their names in Pusher's protocol (Pusher Channels, "Webhooks").
    pub const NAMES: &'static [&'static str] = &[
        "channel_occupied",
        "channel_vacated",
        "member_added",
        "member_removed",
        "client_event",
        "cache_miss",
        "subscription_count",
    ];

    /// Its name there.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ChannelOccupied { .. } => "channel_occupied",
            Self::ChannelVacated { .. } => "channel_vacated",
            Self::MemberAdded { .. } => "member_added",
            Self::MemberRemoved { .. } => "member_removed",
            Self::ClientEvent { .. } => "client_event",
            Self::CacheMiss { .. } => "cache_miss",
            Self::SubscriptionCount { .. } => "subscription_count",
        }
    }
}

/// What signs: 32 random bytes. Never shown by a log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HookKey(pub [u8; 32]);

impl fmt::Debug for HookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookKey(..)")
    }
}

/// The keys of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookKeys {
    /// The one that receivers have to know.
    pub current: HookKey,
    /// The one before, which signs too until that instant.
    pub former: Option<(HookKey, Timestamp)>,
}

impl HookKeys {
    /// How long a key signs beside the one that took its place.
    pub const OVERLAP: Duration = Duration::from_secs(24 * 3600);

    /// Those that sign at that instant, the current one first.
    pub fn at(&self, now: Timestamp) -> Vec<HookKey> {
        let former = self.former.filter(|(_, until)| now < *until).map(|(key, _)| key);
        [Some(self.current), former].into_iter().flatten().collect()
    }
}

/// That an endpoint is told nothing, and why. Its cursor stands still meanwhile: switched on again, it goes on where
/// it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disabled {
    /// Since when.
    pub at: Timestamp,
    /// A sentence.
    pub why: String,
}

/// An endpoint that is told what happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its number.
    pub id: WebhookId,
    /// Whose: a platform hears of its own conversations only; the operator's (`None`) of live chats and assistant
    /// sessions.
    pub platform_id: Option<PlatformId>,
    /// Where it is.
    pub url: String,
    /// How it is spoken to.
    pub form: HookForm,
    /// Which types it wants; none listed: every one.
    pub kinds: Vec<String>,
    /// What signs. Not used in Pusher's form, which signs with the platform's secret.
    pub keys: HookKeys,
    /// The last event that was taken from the log for it.
    pub cursor: EventId,
    /// How many of its deliveries are on their way.
    pub open: u64,
    /// When it first failed after it last worked.
    pub failing_since: Option<Timestamp>,
    /// When it last took something.
    pub delivered_at: Option<Timestamp>,
    /// Set when it is told nothing.
    pub disabled: Option<Disabled>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed by somebody.
    pub updated_at: Timestamp,
}

impl Webhook {
    /// Longest address, in characters.
    pub const URL_CHARS_MAX: usize = 2000;

    /// Whether it wants what is called that. The pieces of answers want to be named.
    pub fn wants(&self, kind: &str) -> bool {
        (self.kinds.is_empty() && kind != EventType::AnswerText.as_str())
            || self.kinds.iter().any(|wanted| wanted == kind)
    }
}

/// What is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// An event of the log, read from there when it is sent.
    Event {
        /// Which.
        id: EventId,
        /// Where it happened.
        conversation_id: ConversationId,
    },
    /// Something that is in no log.
    Happening {
        /// What happened.
        what: Happened,
        /// When.
        at: Timestamp,
    },
}

impl Content {
    /// What keeps its order: only what is in the same lane waits for each other.
    pub fn lane(&self) -> String {
        match self {
            Self::Event { conversation_id, .. } => format!("c{conversation_id}"),
            Self::Happening { what, .. } => format!("#{}", what.channel()),
        }
    }
}

/// One thing that one endpoint is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its number.
    pub id: DeliveryId,
    /// Who is told.
    pub webhook_id: WebhookId,
    /// What it is called.
    pub kind: String,
    /// What.
    pub content: Content,
    /// How far it has come.
    pub state: DeliveryState,
    /// Tries so far.
    pub attempts: u32,
    /// Those since it was last queued.
    pub tries: u32,
    /// The first of these.
    pub begun_at: Option<Timestamp>,
    /// The next try, if there is one.
    pub due_at: Timestamp,
    /// The status of the last answer.
    pub last_status: Option<u16>,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// When it was taken from the log.
    pub created_at: Timestamp,
    /// When it was delivered or given up.
    pub ended_at: Option<Timestamp>,
}

impl Delivery {
    /// What receivers know it by: the same in every try, so that what comes twice can be left out.
    pub fn public_id(&self) -> String {
        match self.content {
            Content::Event { id, .. } => format!("evt_{id}"),
            Content::Happening { .. } => format!("hap_{}", self.id),
        }
    }
}

/// One try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The answer's status, if there was an answer.
    pub status: Option<u16>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// When a failed delivery is tried again: each wait is three times the one before, up to the longest, and up to a
/// fifth shorter or longer by chance, so that what failed together does not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// After so long it is given up.
    pub give_up: Duration,
}

impl Retries {
    /// For how long Pusher says that it repeats its webhooks.
    pub const PUSHER: Self =
        Self { first: Duration::from_secs(5), longest: Duration::from_secs(120), give_up: Duration::from_secs(300) };

    /// When to try again after the `tries`th try failed at `now`; `None` to give up. `dice` is any number.
    pub fn next(&self, tries: u32, begun_at: Timestamp, now: Timestamp, dice: u16) -> Option<Timestamp> {
        let factor = 3_f64.powi(i32::try_from(tries.saturating_sub(1).min(30)).unwrap_or(30));
        let wait = (self.first.as_secs_f64() * factor).min(self.longest.as_secs_f64());
        let chance = 0.8 + 0.4 * f64::from(dice) / f64::from(u16::MAX);
        let next = now.plus(Duration::from_secs_f64(wait * chance));
        (next <= begun_at.plus(self.give_up)).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRIES: Retries = Retries {
        first: Duration::from_secs(5),
        longest: Duration::from_secs(7200),
        give_up: Duration::from_secs(24 * 3600),
    };

    #[test]
    fn waits_grow_threefold_to_the_longest_with_a_fifth_of_chance() {
        let seconds = |attempts, dice| {
            let next = RETRIES.next(attempts, Timestamp(0), Timestamp(0), dice).expect("not given up");
            next.0 as f64 / 1e6
        };
        for (attempts, want) in [(1, 5.0), (2, 15.0), (3, 45.0), (7, 3645.0), (8, 7200.0), (500, 7200.0)] {
            assert!((seconds(attempts, 0) - want * 0.8).abs() < 0.01, "{attempts}");
            assert!((seconds(attempts, u16::MAX) - want * 1.2).abs() < 0.01, "{attempts}");
        }
    }

    #[test]
    fn a_delivery_is_given_up_after_its_time() {
        let day = Timestamp(0).plus(RETRIES.give_up);
        assert!(RETRIES.next(9, Timestamp(0), day.minus(Duration::from_secs(8640)), u16::MAX).is_some());
        assert_eq!(RETRIES.next(9, Timestamp(0), day.minus(Duration::from_secs(8639)), u16::MAX), None);
        let (mut now, mut tries) = (Timestamp(0), 1);
        while let Some(next) = Retries::PUSHER.next(tries, Timestamp(0), now, u16::MAX) {
            (now, tries) = (next, tries + 1);
        }
        assert!(tries >= 4 && now <= Timestamp(300_000_000), "{tries} {now:?}");
    }

    #[test]
    fn a_former_key_signs_until_its_end() {
        let keys = HookKeys { current: HookKey([1; 32]), former: Some((HookKey([2; 32]), Timestamp(10))) };
        assert_eq!(keys.at(Timestamp(9)), [HookKey([1; 32]), HookKey([2; 32])]);
        assert_eq!(keys.at(Timestamp(10)), [HookKey([1; 32])]);
        assert!(!format!("{keys:?}").contains("[1,"), "{keys:?}");
    }

    #[test]
    fn every_name_is_its_own() {
        for name in EventType::NAMES {
            assert_eq!(EventType::parse(name).map(EventType::as_str), Some(*name));
        }
        let occupied = Happened::ChannelOccupied { channel: "a".to_owned() };
        assert!(Happened::NAMES.contains(&occupied.as_str()));
    }
}
