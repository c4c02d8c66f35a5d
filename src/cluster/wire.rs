//! What nodes write on the bus. Nodes of two versions hear each other: an unknown version is no message, and a part
//! that is missing is read from the store.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{
    ConversationId, ConversationKind, Device, DeviceKind, Event, EventBody, EventId, Json, Letter, LetterKind, Logged,
    Message, Place, PlatformId, Role, Timestamp, UserId,
};

/// The first byte of every message.
const VERSION: u8 = 1;

/// Messages that say more than this, in bytes, are not carried: whoever hears of them reads the store.
const TEXT_MAX: usize = 16 << 10;

/// What is said on a conversation's topic, or on a wider one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct News {
    /// Who says so: a node does not listen to itself.
    #[serde(rename = "n")]
    pub node: Uuid,
    /// The last event that it is about.
    #[serde(rename = "i")]
    pub event_id: i64,
    /// Of a conversation's topic: its number.
    #[serde(rename = "s", default, skip_serializing_if = "is_zero")]
    pub seq: u64,
    /// The message, when the event adds one and it is small.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Said>,
    /// The conversation was removed.
    #[serde(rename = "g", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_gone: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(seq: &u64) -> bool {
    *seq == 0
}

/// A message as it was added, with where.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Said {
    u: Uuid,
    r: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    a: Option<i64>,
    t: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    m: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    q: Option<i64>,
    at: i64,
    cu: Uuid,
    k: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p: Option<i64>,
    us: Vec<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    l: Option<SaidLetter>,
}

/// What a letter that was just sent has beside its message: nobody has read it or reacted to it.
#[derive(Debug, Serialize, Deserialize)]
struct SaidLetter {
    to: i64,
    k: String,
    f: String,
    d: String,
    dk: String,
}

impl News {
    /// An event, for its conversation's topic.
    pub fn of(node: Uuid, logged: &Logged) -> Self {
        let event = &logged.event;
        Self { node, event_id: event.id.0, seq: event.seq, said: Said::of(logged), is_gone: false }
    }

    /// That something happened, for a wider topic.
    pub fn bell(node: Uuid, event: EventId) -> Self {
        Self { node, event_id: event.0, seq: 0, said: None, is_gone: false }
    }

    /// That the conversation was removed, for its topic.
    pub fn gone(node: Uuid) -> Self {
        Self { is_gone: true, ..Self::bell(node, EventId::START) }
    }

    pub fn write(&self) -> Vec<u8> {
        let mut written = vec![VERSION];
        // Writing plain data into memory does not fail.
        let done = serde_json::to_writer(&mut written, self);
        debug_assert!(done.is_ok());
        written
    }

    /// What a message says; `None` when it is of another version, or no message at all.
    pub fn read(message: &[u8]) -> Option<Self> {
        let (&VERSION, rest) = message.split_first()? else { return None };
        serde_json::from_slice(rest).ok()
    }

    /// The whole event, if it came along.
    pub fn logged(self, id: ConversationId) -> Option<Logged> {
        let (event_id, seq) = (EventId(self.event_id), self.seq);
        self.said?.logged(id, event_id, seq)
    }
}

impl Said {
    /// Only messages as they were sent: everything else is read from the store by who follows.
    fn of(logged: &Logged) -> Option<Self> {
        let EventBody::MessageAdded(message) = &logged.event.body else { return None };
        if message.bytes() > TEXT_MAX {
            return None;
        }
        let place = &logged.place;
        Some(Self {
            u: message.uuid,
            r: message.role.as_str().to_owned(),
            a: message.user_id.map(|user| user.0),
            t: message.text.clone(),
            m: message.metadata.as_ref().map(|json| json.0.clone()),
            q: message.reply_to.map(|question| question.0),
            at: message.created_at.0,
            cu: place.uuid,
            k: place.kind.as_str().to_owned(),
            p: place.platform_id.map(|platform| platform.0),
            us: place.users.iter().map(|user| user.0).collect(),
            l: message.letter.as_deref().map(SaidLetter::of),
        })
    }

    fn logged(self, conversation_id: ConversationId, id: EventId, seq: u64) -> Option<Logged> {
        let place = Place {
            conversation_id,
            uuid: self.cu,
            kind: ConversationKind::parse(&self.k)?,
            platform_id: self.p.map(PlatformId),
            users: self.us.into_iter().map(UserId).collect(),
        };
        let at = Timestamp(self.at);
        let message = Message {
            id,
            uuid: self.u,
            conversation_id,
            seq,
            role: Role::parse(&self.r)?,
            user_id: self.a.map(UserId),
            text: self.t,
            metadata: self.m.map(Json),
            reply_to: self.q.map(EventId),
            created_at: at,
            updated_at: at,
            edited_at: None,
            letter: match self.l {
                Some(letter) => Some(Box::new(letter.letter()?)),
                None => None,
            },
        };
        let body = EventBody::MessageAdded(message.into());
        Some(Logged { event: Event { id, conversation_id, seq, at, body }, place: place.into() })
    }
}

impl SaidLetter {
    fn of(letter: &Letter) -> Self {
        Self {
            to: letter.receiver_id.0,
            k: letter.kind.as_str().to_owned(),
            f: letter.attachments.0.clone(),
            d: letter.device.details.0.clone(),
            dk: letter.device.kind.as_str().to_owned(),
        }
    }

    fn letter(self) -> Option<Letter> {
        Some(Letter {
            receiver_id: UserId(self.to),
            kind: LetterKind::parse(&self.k)?,
            attachments: Json(self.f),
            device: Device { kind: DeviceKind::parse(&self.dk)?, details: Json(self.d) },
            delivered_at: None,
            read_at: None,
            reactions: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged() -> Logged {
        let said = Said {
            u: Uuid::from_u128(1),
            r: "staff".to_owned(),
            a: Some(4),
            t: "Xin chào".to_owned(),
            m: Some("{}".to_owned()),
            q: None,
            at: 17,
            cu: Uuid::from_u128(2),
            k: "live_chat".to_owned(),
            p: None,
            us: vec![],
            l: Some(SaidLetter {
                to: 6,
                k: "text".to_owned(),
                f: "[]".to_owned(),
                d: "{}".to_owned(),
                dk: "web".to_owned(),
            }),
        };
        said.logged(ConversationId(3), EventId(9), 5).unwrap()
    }

    #[test]
    fn an_event_is_read_as_it_was_written() {
        let node = Uuid::from_u128(7);
        let news = News::read(&News::of(node, &logged()).write()).unwrap();
        assert_eq!((news.node, news.event_id, news.seq), (node, 9, 5));
        assert_eq!(news.logged(ConversationId(3)).unwrap(), logged());
    }

    #[test]
    fn what_is_not_understood_is_no_message() {
        let mut newer = News::bell(Uuid::nil(), EventId(1)).write();
        newer[0] = VERSION + 1;
        for strange in [newer.as_slice(), b"", b"\x01", b"\x01{}", b"hello"] {
            assert!(News::read(strange).is_none());
        }
    }
}
