//! What nodes say to each other, in bytes.
//!
//! A message begins with the version of the format and a kind; one of a version or kind that is not known is
//! ignored, so that nodes of two versions run side by side. Numbers are little-endian; texts have their length
//! before them.

use bytes::Bytes;
use uuid::Uuid;

use super::room::Room;
use crate::domain::{ConversationId, ConversationKind, PlatformId, Scope, Signal, Typist, UserId};
use crate::realtime::sockets::{App, Member, SocketId};

/// The version of the format.
const VERSION: u8 = 1;

/// A node, for as long as it runs: drawn at its start.
pub type NodeId = u64;

/// What a node says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// Something was published to a channel, everywhere.
    Published {
        /// The channel's room.
        room: Room,
        /// What subscribers get.
        frame: Bytes,
        /// Who does not get it.
        except: Option<SocketId>,
        /// For how long it is kept, in milliseconds; 0 for not at all.
        keep_ms: u64,
    },
    /// What the node has in a room is another now.
    Changed {
        /// The room.
        room: Room,
        /// How.
        change: Change,
    },
    /// What the node has in a room has to be read anew.
    Renewed {
        /// The room.
        room: Room,
    },
    /// Something that is told and not kept, in some scopes.
    Signal {
        /// Where.
        scopes: Vec<Scope>,
        /// What.
        signal: Signal,
    },
    /// The signed-in connections of a user have to end.
    Terminate {
        /// The app.
        app: App,
        /// The user.
        user: String,
    },
    /// Something that those above this module understand.
    Word(Vec<u8>),
}

/// How a node's part of a room changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The number of the part as it is now; grows over all that a node writes.
    pub version: u64,
    /// The number of the part that this is a change of; 0 for none.
    pub before: u64,
    /// How many subscriptions, or connections, there are now.
    pub count: u64,
    /// Members who came.
    pub came: Vec<Member>,
    /// Members who left.
    pub left: Vec<String>,
}

impl Said {
    /// As bytes, from that node.
    pub fn encode(&self, from: NodeId) -> Bytes {
        let mut out = Out(vec![VERSION, self.kind()]);
        out.number(from);
        match self {
            Self::Published { room, frame, except, keep_ms } => {
                out.text(&room.key());
                let except = except.unwrap_or(SocketId(0, 0));
                out.number(u64::from(except.0));
                out.number(u64::from(except.1));
                out.number(*keep_ms);
                out.bytes(frame);
            }
            Self::Changed { room, change } => {
                out.text(&room.key());
                out.change(change);
            }
            Self::Renewed { room } => out.text(&room.key()),
            Self::Signal { scopes, signal } => {
                out.number(scopes.len() as u64);
                scopes.iter().for_each(|scope| out.scope(*scope));
                out.signal(signal);
            }
            Self::Terminate { app, user } => {
                out.signed(app.0);
                out.text(user);
            }
            Self::Word(word) => out.bytes(word),
        }
        out.0.into()
    }

    /// Reads bytes; `None` for what is not understood.
    pub fn decode(message: &[u8]) -> Option<(NodeId, Self)> {
        let (&[version, kind], rest) = message.split_first_chunk::<2>()?;
        if version != VERSION {
            return None;
        }
        let mut from = In(rest);
        let node = from.number()?;
        let said = match kind {
            1 => {
                let room = from.room()?;
                let except = SocketId(from.number()?.try_into().ok()?, from.number()?.try_into().ok()?);
                let keep_ms = from.number()?;
                let except = (except != SocketId(0, 0)).then_some(except);
                Self::Published { room, except, keep_ms, frame: Bytes::copy_from_slice(from.bytes()?) }
            }
            2 => Self::Changed { room: from.room()?, change: from.change()? },
            3 => Self::Renewed { room: from.room()? },
            4 => Self::Signal { scopes: from.list(In::scope)?, signal: from.signal()? },
            5 => Self::Terminate { app: PlatformId(from.signed()?), user: from.text()?.to_owned() },
            6 => Self::Word(from.bytes()?.to_vec()),
            _ => return None,
        };
        Some((node, said))
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Published { .. } => 1,
            Self::Changed { .. } => 2,
            Self::Renewed { .. } => 3,
            Self::Signal { .. } => 4,
            Self::Terminate { .. } => 5,
            Self::Word(_) => 6,
        }
    }
}

struct Out(Vec<u8>);

impl Out {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn signed(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn change(&mut self, change: &Change) {
        self.number(change.version);
        self.number(change.before);
        self.number(change.count);
        self.number(change.came.len() as u64);
        for member in &change.came {
            self.text(&member.user_id);
            self.0.push(u8::from(member.info.is_some()));
            self.text(member.info.as_deref().unwrap_or_default());
        }
        self.number(change.left.len() as u64);
        change.left.iter().for_each(|user| self.text(user));
    }

    fn scope(&mut self, scope: Scope) {
        let (kind, number, word) = match scope {
            Scope::All => (0, 0, ""),
            Scope::Kind(kind) => (1, 0, kind.as_str()),
            Scope::Conversation(id) => (2, id.0, ""),
            Scope::Platform(id) => (3, id.0, ""),
            Scope::User(id, kind) => (4, id.0, kind.as_str()),
        };
        self.0.push(kind);
        self.signed(number);
        self.text(word);
    }

    fn signal(&mut self, signal: &Signal) {
        match signal {
            Signal::Typing { conversation_id, who, is_typing } => {
                self.0.push(0);
                self.signed(conversation_id.0);
                self.0.push(u8::from(*is_typing));
                match who {
                    Typist::Guest => self.0.push(0),
                    Typist::Staff(id, name) => {
                        self.0.push(1);
                        self.signed(id.0);
                        self.text(name);
                    }
                    Typist::User(uuid) => {
                        self.0.push(2);
                        self.0.extend_from_slice(uuid.as_bytes());
                    }
                }
            }
            Signal::Made(id) => {
                self.0.push(1);
                self.signed(id.0);
            }
            Signal::Removed(id) => {
                self.0.push(2);
                self.signed(id.0);
            }
        }
    }
}

struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn signed(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = usize::try_from(self.number()?).ok()?;
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn room(&mut self) -> Option<Room> {
        Room::parse(self.text()?)
    }

    /// So many things; a length that is a lie ends with the bytes.
    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(one(self)?);
        }
        Some(all)
    }

    fn change(&mut self) -> Option<Change> {
        let (version, before, count) = (self.number()?, self.number()?, self.number()?);
        let came = self.list(|from| {
            let user_id = from.text()?.to_owned();
            let (has_info, info) = (from.byte()? == 1, from.text()?);
            Some(Member { user_id, info: has_info.then(|| info.to_owned()) })
        })?;
        let left = self.list(|from| from.text().map(str::to_owned))?;
        Some(Change { version, before, count, came, left })
    }

    fn scope(&mut self) -> Option<Scope> {
        let (kind, number, word) = (self.byte()?, self.signed()?, self.text()?);
        Some(match kind {
            0 => Scope::All,
            1 => Scope::Kind(ConversationKind::parse(word)?),
            2 => Scope::Conversation(ConversationId(number)),
            3 => Scope::Platform(PlatformId(number)),
            4 => Scope::User(UserId(number), ConversationKind::parse(word)?),
            _ => return None,
        })
    }

    fn signal(&mut self) -> Option<Signal> {
        let (kind, id) = (self.byte()?, ConversationId(self.signed()?));
        Some(match kind {
            0 => {
                let is_typing = self.byte()? == 1;
                let who = match self.byte()? {
                    0 => Typist::Guest,
                    1 => Typist::Staff(UserId(self.signed()?), self.text()?.to_owned()),
                    2 => Typist::User(Uuid::from_bytes(self.take()?)),
                    _ => return None,
                };
                Signal::Typing { conversation_id: id, who, is_typing }
            }
            1 => Signal::Made(id),
            2 => Signal::Removed(id),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn everything() -> Vec<Said> {
        let room = Room::Channel(PlatformId(3), "presence-a".into());
        let member = |id: &str, info: Option<&str>| Member { user_id: id.into(), info: info.map(Into::into) };
        let typing = |who| Signal::Typing { conversation_id: ConversationId(5), who, is_typing: true };
        let kind = ConversationKind::LiveChat;
        let scopes = vec![
            Scope::All,
            Scope::Kind(kind),
            Scope::Conversation(ConversationId(4)),
            Scope::Platform(PlatformId(2)),
            Scope::User(UserId(9), kind),
        ];
        let change = Change {
            version: 9,
            before: 4,
            count: 2,
            came: vec![member("ana", Some("{}")), member("rui", None)],
            left: vec!["eve".to_owned()],
        };
        let signal = |signal| Said::Signal { scopes: scopes.clone(), signal };
        let published = |except, keep_ms| Said::Published {
            room: room.clone(),
            frame: Bytes::from_static(b"\x81\x02hi"),
            except,
            keep_ms,
        };
        vec![
            published(None, 0),
            published(Some(SocketId(1, SocketId::MAX)), 1_800_000),
            Said::Changed { room: room.clone(), change },
            Said::Renewed { room: Room::Account(UserId(1)) },
            signal(typing(Typist::Guest)),
            signal(typing(Typist::Staff(UserId(8), "Bo".to_owned()))),
            signal(typing(Typist::User(Uuid::from_u128(77)))),
            signal(Signal::Made(ConversationId(1))),
            signal(Signal::Removed(ConversationId(-1))),
            Said::Terminate { app: PlatformId(1), user: "ana".to_owned() },
            Said::Word(vec![1, 2, 3]),
        ]
    }

    #[test]
    fn what_is_said_is_understood() {
        for said in everything() {
            assert_eq!(Said::decode(&said.encode(42)), Some((42, said)));
        }
    }

    #[test]
    fn what_is_not_known_is_ignored() {
        for said in everything() {
            let mut message = said.encode(1).to_vec();
            for cut in 0..message.len() {
                assert_eq!(Said::decode(&message[..cut]), None, "{said:?} cut at {cut}");
            }
            message[0] = VERSION + 1;
            assert_eq!(Said::decode(&message), None);
            (message[0], message[1]) = (VERSION, 99);
            assert_eq!(Said::decode(&message), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 1u8..8) {
            if bytes.len() > 1 {
                (bytes[0], bytes[1]) = (VERSION, kind);
            }
            let _ = Said::decode(&bytes);
        }
    }
}
