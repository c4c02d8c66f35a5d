//! Frames of the Pusher protocol: what clients send, read as leniently as stock clients need it, and what
//! the server sends, encoded once to what goes over the wire.
//!
//! In frames of the server `data` is always a string that holds JSON: some older clients take nothing
//! else, and none takes less.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::names;
use crate::http::json;
use crate::realtime::sockets::Frame;

/// A frame of a client. What is inside of `data` stays unread, and so costs no more than its bytes however
/// deep it is.
#[derive(Debug, Deserialize)]
pub struct Sent<'a> {
    /// What it is.
    #[serde(borrow)]
    pub event: Cow<'a, str>,
    /// The channel of an event for other clients.
    #[serde(default)]
    pub channel: Option<String>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

impl<'a> Sent<'a> {
    /// Reads a frame; `None` for what is no object with an event's name.
    pub fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// What stands in `data`, which may be an object or the text of one; `None` for anything else.
    pub fn data<T: for<'de> Deserialize<'de>>(&self) -> Option<T> {
        serde_json::from_str(&self.text()?).ok()
    }

    /// `data` as text: a string's characters, or the JSON that it is. `None` when there is none, or null.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        let raw = self.data?.get();
        match raw.as_bytes().first()? {
            b'"' => serde_json::from_str(raw).ok().map(Cow::Owned),
            b'n' => None,
            _ => Some(Cow::Borrowed(raw)),
        }
    }
}

/// A wish to subscribe.
#[derive(Debug, Deserialize)]
pub struct Subscribe {
    /// Where to.
    pub channel: String,
    /// `key:signature`.
    #[serde(default)]
    pub auth: Option<String>,
    /// Who subscribes, for a presence channel: JSON, signed as it stands.
    #[serde(default)]
    pub channel_data: Option<String>,
}

/// A wish to leave.
#[derive(Debug, Deserialize)]
pub struct Unsubscribe {
    /// What.
    pub channel: String,
}

/// A sign-in.
#[derive(Debug, Deserialize)]
pub struct SignIn {
    /// `key:signature`.
    pub auth: String,
    /// Who signs in: JSON, signed as it stands.
    pub user_data: String,
}

/// Who signs in.
#[derive(Debug, Deserialize)]
pub struct UserData {
    id: Id,
    /// The users of whose coming and going the client wants to hear.
    #[serde(default)]
    watchlist: Option<Vec<Id>>,
}

impl UserData {
    /// Reads who signs in: their id, and the ids of those whom they watch.
    pub fn read(text: &str) -> Option<(String, Vec<String>)> {
        let read: Self = serde_json::from_str(text).ok()?;
        let watched = read.watchlist.unwrap_or_default().into_iter().map(Id::text).collect();
        Some((read.id.text(), watched))
    }
}

/// Who subscribes to a presence channel.
#[derive(Debug, Deserialize)]
pub struct ChannelData<'a> {
    user_id: Id,
    #[serde(borrow, default)]
    user_info: Option<&'a RawValue>,
}

impl ChannelData<'_> {
    /// Reads who subscribes: their id, and what others are told of them, as JSON.
    pub fn read(text: &str) -> Option<(String, Option<String>)> {
        let read: ChannelData<'_> = serde_json::from_str(text).ok()?;
        Some((read.user_id.text(), read.user_info.map(|info| info.get().to_owned())))
    }
}

/// An id, which may be a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Id {
    Word(String),
    Number(i64),
}

impl Id {
    fn text(self) -> String {
        match self {
            Self::Word(word) => word,
            Self::Number(number) => number.to_string(),
        }
    }
}

/// A frame of the server.
#[derive(Serialize)]
struct Told<'a> {
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
}

impl Told<'_> {
    fn frame(&self) -> Frame {
        // What serde writes is UTF-8.
        crate::http::websocket::frame::text(&String::from_utf8_lossy(&json::bytes(self)))
    }
}

fn about(event: &str, channel: Option<&str>, data: &impl Serialize) -> Frame {
    let data = json::bytes(data);
    let data = String::from_utf8_lossy(&data);
    Told { event, channel, data: Some(&data), user_id: None }.frame()
}

/// An event on a channel. `data` is the text that it carries.
pub fn event(event: &str, channel: &str, data: &str) -> Frame {
    Told { event, channel: Some(channel), data: Some(data), user_id: None }.frame()
}

/// An event that a client sent to the others; `user` is who they are on a presence channel.
pub fn client_event(event: &str, channel: &str, data: Option<&str>, user: Option<&str>) -> Frame {
    Told { event, channel: Some(channel), data, user_id: user }.frame()
}

/// The first frame. `timeout_s` must not be 0: stock clients never connect then.
pub fn established(socket: &str, timeout_s: u64) -> Frame {
    #[derive(Serialize)]
    struct Data<'a> {
        socket_id: &'a str,
        activity_timeout: u64,
    }
    about("pusher:connection_established", None, &Data { socket_id: socket, activity_timeout: timeout_s.max(1) })
}

/// Asks whether the client is still there.
pub fn ping() -> Frame {
    about("pusher:ping", None, &Empty {})
}

/// Says that the server is.
pub fn pong() -> Frame {
    about("pusher:pong", None, &Empty {})
}

#[derive(Serialize)]
struct Empty {}

/// Something that went wrong, with the protocol's code for it if it has one.
pub fn error(code: Option<u16>, message: &str) -> Frame {
    #[derive(Serialize)]
    struct Data<'a> {
        code: Option<u16>,
        message: &'a str,
    }
    about("pusher:error", None, &Data { code, message })
}

/// A subscription that was refused.
pub fn refused(channel: &str, kind: &str, why: &str, status: u16) -> Frame {
    #[derive(Serialize)]
    struct Data<'a> {
        r#type: &'a str,
        error: &'a str,
        status: u16,
    }
    about("pusher:subscription_error", Some(channel), &Data { r#type: kind, error: why, status })
}

/// A subscription to a channel whose subscribers do not see each other.
pub fn subscribed(channel: &str) -> Frame {
    about("pusher_internal:subscription_succeeded", Some(channel), &Empty {})
}

/// A subscription to a channel that is told what happens in the log, with the cursor from which who comes
/// back to it misses nothing. It is not called as the cursors of events are: it says nothing of other
/// channels, whose events may be on their way still.
pub fn subscribed_since(channel: &str, since: i64) -> Frame {
    #[derive(Serialize)]
    struct Data {
        since: i64,
    }
    about("pusher_internal:subscription_succeeded", Some(channel), &Data { since })
}

/// A subscription to a presence channel, with everybody who is there and what is told of them, as JSON.
pub fn subscribed_with<'a>(channel: &str, members: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Frame {
    #[derive(Serialize)]
    struct Data<'a> {
        presence: Presence<'a>,
    }
    #[derive(Serialize)]
    struct Presence<'a> {
        count: usize,
        ids: Vec<&'a str>,
        hash: BTreeMap<&'a str, Option<&'a RawValue>>,
    }
    let hash: BTreeMap<_, _> = members.map(|(id, info)| (id, info.and_then(raw))).collect();
    let presence = Presence { count: hash.len(), ids: hash.keys().copied().collect(), hash };
    about("pusher_internal:subscription_succeeded", Some(channel), &Data { presence })
}

fn raw(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

/// Somebody came to a presence channel.
pub fn member_added(channel: &str, user: &str, info: Option<&str>) -> Frame {
    #[derive(Serialize)]
    struct Data<'a> {
        user_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        user_info: Option<&'a RawValue>,
    }
    let user_info = info.and_then(raw);
    about("pusher_internal:member_added", Some(channel), &Data { user_id: user, user_info })
}

/// Somebody left a presence channel.
pub fn member_removed(channel: &str, user: &str) -> Frame {
    #[derive(Serialize)]
    struct Data<'a> {
        user_id: &'a str,
    }
    about("pusher_internal:member_removed", Some(channel), &Data { user_id: user })
}

/// How many subscriptions a channel has.
pub fn subscription_count(channel: &str, count: usize) -> Frame {
    #[derive(Serialize)]
    struct Data {
        subscription_count: usize,
    }
    about("pusher_internal:subscription_count", Some(channel), &Data { subscription_count: count })
}

/// A cache channel has no event to tell.
pub fn cache_miss(channel: &str) -> Frame {
    Told { event: "pusher:cache_miss", channel: Some(channel), data: Some("{}"), user_id: None }.frame()
}

/// The client is signed in.
pub fn signed_in(user_data: &str) -> Frame {
    #[derive(Serialize)]
    struct Data<'a> {
        user_data: &'a str,
    }
    about("pusher:signin_success", None, &Data { user_data })
}

/// Users who came, or who left.
pub fn watched(is_online: bool, users: &[String]) -> Frame {
    #[derive(Serialize)]
    struct Data<'a> {
        events: [Events<'a>; 1],
    }
    #[derive(Serialize)]
    struct Events<'a> {
        name: &'static str,
        user_ids: &'a [String],
    }
    let name = if is_online { "online" } else { "offline" };
    about("pusher_internal:watchlist_events", None, &Data { events: [Events { name, user_ids: users }] })
}

/// Whether a name is one of the protocol's own, which no client sends to others.
pub fn is_protocols(event: &str) -> bool {
    event.starts_with("pusher:") || event.starts_with("pusher_internal:")
}

/// A name as it may be repeated to who sent it: whole, when a stock client could have sent it.
pub fn shortened(channel: &str) -> &str {
    let end = channel.char_indices().nth(names::CHANNEL_CHARS_MAX * 2).map_or(channel.len(), |(at, _)| at);
    &channel[..end]
}

/// What an event's frame carries, taken out again.
pub fn data_of(frame: &Frame) -> Option<String> {
    let text = crate::http::websocket::frame::payload(frame);
    Sent::read(std::str::from_utf8(text).ok()?)?.text().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever its length: some lengths look like JSON in a frame's head.
    #[test]
    fn what_a_frame_carries_can_be_taken_out_again() {
        for length in (0..1000).chain([31_400, 31_500, 65_400, 65_600]) {
            let data = "x".repeat(length);
            assert_eq!(data_of(&event("a", "cache-a", &data)), Some(data), "{length} characters");
        }
    }
}
