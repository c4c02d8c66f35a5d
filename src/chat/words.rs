//! What nodes say to each other that only the use-cases understand. All of it may be lost: it spares somebody an echo,
//! or makes quick what comes anyhow.

use std::sync::Arc;

use uuid::Uuid;

use super::{Chat, Deed};
use crate::domain::{ConversationId, EventId, MessageId, RunReason, UserId};
use crate::realtime::nodes::Hearing;
use crate::realtime::sockets::SocketId;

/// Something that is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// That connection, which the hearer has, is about to do that.
    Origin(Deed, SocketId),
    /// The answer to a question has to stop.
    Stop(MessageId),
    /// Whatever answers in a conversation has to stop.
    StopIn(ConversationId, RunReason),
    /// So does what answers earlier questions of a conversation: a newer one takes their place.
    StopBefore(ConversationId, MessageId),
}

impl Word {
    /// As bytes: a kind, then numbers.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(26);
        match self {
            Self::Origin(deed, SocketId(a, b)) => {
                out.push(1);
                out.extend_from_slice(&a.to_le_bytes());
                out.extend_from_slice(&b.to_le_bytes());
                encode_deed(deed, &mut out);
            }
            Self::Stop(question) => put(&mut out, 2, &[question.0]),
            Self::StopIn(conversation, why) => {
                put(&mut out, 3, &[conversation.0]);
                out.extend_from_slice(why.as_str().as_bytes());
            }
            Self::StopBefore(conversation, question) => put(&mut out, 4, &[conversation.0, question.0]),
        }
        out
    }

    /// `None` for what is not understood: the other node may be of another version.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match kind {
            1 => {
                let (a, rest) = rest.split_first_chunk::<4>()?;
                let (b, rest) = rest.split_first_chunk::<4>()?;
                Some(Self::Origin(decode_deed(rest)?, SocketId(u32::from_le_bytes(*a), u32::from_le_bytes(*b))))
            }
            2 => numbers(rest).map(|[question]| Self::Stop(EventId(question))),
            3 => {
                let (conversation, why) = rest.split_first_chunk::<8>()?;
                let why = std::str::from_utf8(why).ok().and_then(RunReason::parse)?;
                Some(Self::StopIn(ConversationId(i64::from_le_bytes(*conversation)), why))
            }
            4 => numbers(rest)
                .map(|[conversation, question]| Self::StopBefore(ConversationId(conversation), EventId(question))),
            _ => None,
        }
    }
}

fn encode_deed(deed: &Deed, out: &mut Vec<u8>) {
    match deed {
        Deed::Sent(uuid) => {
            out.push(1);
            out.extend_from_slice(uuid.as_bytes());
        }
        Deed::Edited(message) => put(out, 2, &[message.0]),
        Deed::Deleted(message) => put(out, 3, &[message.0]),
        Deed::Reacted(message, user) => put(out, 4, &[message.0, user.0]),
        Deed::Read(message, user) => put(out, 5, &[message.0, user.0]),
    }
}

fn decode_deed(bytes: &[u8]) -> Option<Deed> {
    let (kind, rest) = bytes.split_first()?;
    let two =
        |deed: fn(MessageId, UserId) -> Deed| numbers(rest).map(|[message, user]| deed(EventId(message), UserId(user)));
    match kind {
        1 => rest.first_chunk().map(|uuid| Deed::Sent(Uuid::from_bytes(*uuid))),
        2 => numbers(rest).map(|[message]| Deed::Edited(EventId(message))),
        3 => numbers(rest).map(|[message]| Deed::Deleted(EventId(message))),
        4 => two(Deed::Reacted),
        5 => two(Deed::Read),
        _ => None,
    }
}

fn put(out: &mut Vec<u8>, kind: u8, numbers: &[i64]) {
    out.push(kind);
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

fn numbers<const N: usize>(bytes: &[u8]) -> Option<[i64; N]> {
    let mut numbers = [0; N];
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks(8).chain(std::iter::repeat(&[][..]))) {
        *number = i64::from_le_bytes(*bytes.first_chunk()?);
    }
    Some(numbers)
}

impl Chat {
    /// Says something to the node that has a connection of that name; `false` when there is no other that could.
    pub(super) fn says_to(&self, socket: SocketId, word: &Word) -> bool {
        self.sockets.nodes().is_some_and(|nodes| nodes.say_word_to(socket, word.encode()))
    }

    /// Says something to all other nodes; whether there may be any.
    pub(super) fn says(&self, word: &Word) -> bool {
        let nodes = self.sockets.nodes();
        nodes.inspect(|nodes| nodes.say_word(word.encode())).is_some()
    }

    /// Hears what other nodes say from now on.
    pub fn hear_nodes(self: &Arc<Self>) {
        if let Some(nodes) = self.sockets.nodes() {
            let hearing: Arc<dyn Hearing> = Arc::clone(self) as _;
            nodes.tell_words_to(&hearing);
        }
    }
}

impl Hearing for Chat {
    fn heard(&self, word: &[u8]) {
        match Word::decode(word) {
            Some(Word::Origin(deed, socket)) => self.origins.note_hearsay(deed, socket),
            Some(Word::Stop(question)) => self.runs.stop(question, RunReason::Asked),
            Some(Word::StopIn(conversation, why)) => self.runs.stop_conversation(conversation, why),
            Some(Word::StopBefore(conversation, question)) => self.runs.stop_before(conversation, question),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood_and_others_are_not() {
        let (message, user, socket) = (EventId(7), UserId(-3), SocketId(5, 6));
        let deeds = [
            Deed::Sent(Uuid::from_u128(9)),
            Deed::Edited(message),
            Deed::Deleted(message),
            Deed::Reacted(message, user),
            Deed::Read(message, user),
        ];
        let words = deeds.into_iter().map(|deed| Word::Origin(deed, socket));
        for word in words.chain([
            Word::Stop(message),
            Word::StopIn(ConversationId(8), RunReason::TakenOver),
            Word::StopBefore(ConversationId(2), message),
        ]) {
            let bytes = word.encode();
            assert_eq!(Word::decode(&bytes), Some(word));
            for cut in 0..bytes.len() {
                assert_eq!(Word::decode(&bytes[..cut]), None);
            }
            assert_eq!(Word::decode(&[&[99], &bytes[1..]].concat()), None);
        }
    }
}
