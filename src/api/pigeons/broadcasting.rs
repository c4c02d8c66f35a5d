//! Who may subscribe to which channel, as stock clients of the Pusher protocol ask it: the answer is a
//! signature that the socket then shows.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::Answered;
use super::context::{Caller, Ctx, Input};
use super::envelope::Failure;
use super::requests::{SignInSocket, Subscribe};
use super::sockets_wire::{Signature, UserSignature};
use crate::chat::{InboxEntry, InboxFilter, Topic};
use crate::domain::{EventId, INTEGER_MAX, Platform, User};
use crate::error::{Error, Refusal, Rule};
use crate::http::fields::Fields;
use crate::http::{json, signature};
use crate::realtime::sockets::Expected;

/// Longest name of a channel, in characters, by the protocol.
const CHANNEL_CHARS_MAX: usize = 164;
/// Longest name of a socket: two numbers of 64 bits.
const SOCKET_CHARS_MAX: usize = 41;
/// Users of whose coming and going one hears, by the protocol.
const WATCHED_MAX: usize = 100;
/// Channels whose events only their subscribers could read. What happens in a conversation the server
/// writes itself, so there is nothing that it could not read.
const ENCRYPTED: &str = "private-encrypted-";

/// Authorize a subscription
///
/// `private-conversation.{uuid}` and `presence-conversation.{uuid}` for the conversation's users,
/// `private-users.{uuid}` for that user, `private-platform.{key}` for the platform's users, and
/// `private-backoffice` for who has the role `backoffice`. The prefixes may be left out. JSON or a form.
/// With `since`, what came after that cursor is told before what comes.
#[utoipa::path(post, path = "/broadcasting/auth", operation_id = "pigeons_authorize_subscription",
    tag = "pigeons", security(("bearer" = [])), request_body = Subscribe,
    responses(
        (status = 200, description = "The signature", body = Signature),
        (status = 404, description = "There is no such conversation"),
        (status = 422, description = "The input is not valid; every field that is wrong is listed"),
    ))]
pub async fn authorize(ctx: Ctx, input: Input) -> Answered {
    ctx.run(async {
        let Caller { access, platform } = ctx.subscriber().await?;
        let mut fields = input.fields().await?;
        let socket = fields.required("socket_id", SOCKET_CHARS_MAX);
        if !socket.is_empty() && !is_socket(&socket) {
            fields.wrong("socket_id", Rule::Valid);
        }
        let channel = fields.required("channel_name", CHANNEL_CHARS_MAX);
        let since = since(&mut fields, &channel);
        fields.finish()?;
        if channel.starts_with(ENCRYPTED) {
            return Err(Failure::Encrypted);
        }
        let (topic, is_presence) =
            topic(&channel).ok_or(Failure::Subscription(Error::Forbidden(Refusal::NotMember)))?;
        ctx.chat().may_follow(&access, topic).await.map_err(Failure::Subscription)?;
        let elsewhere = ctx.chat().expect_subscription(&access, &socket, &channel, since);
        let data = is_presence.then(|| presence(&access.user));
        let mut signed = signed(&platform, &socket, &channel, data);
        signed.auth += &proof(&platform, &socket, &channel, elsewhere);
        Ok(ctx.answer(StatusCode::OK, &signed))
    })
    .await
}

/// Authenticate a user
///
/// Says of a connection who its user is: for the events that are sent to a user wherever they are, and to
/// hear when those come and go to whom they write. JSON or a form.
#[utoipa::path(post, path = "/broadcasting/user-auth", operation_id = "pigeons_authenticate_user",
    tag = "pigeons", security(("bearer" = [])), request_body = SignInSocket,
    responses(
        (status = 200, description = "The signature", body = UserSignature),
        (status = 422, description = "The input is not valid; every field that is wrong is listed"),
    ))]
pub async fn authenticate(ctx: Ctx, input: Input) -> Answered {
    ctx.run(async {
        let Caller { access, platform } = ctx.subscriber().await?;
        let mut fields = input.fields().await?;
        let socket = fields.required("socket_id", SOCKET_CHARS_MAX);
        if !socket.is_empty() && !is_socket(&socket) {
            fields.wrong("socket_id", Rule::Valid);
        }
        fields.finish()?;
        let filter = InboxFilter { limit: WATCHED_MAX, ..InboxFilter::default() };
        let inbox = ctx.chat().inbox(&access, filter).await?;
        let user_data = user_data(&access.user, &inbox);
        let signed = signature::sign_in(&platform.secret, &socket, &user_data);
        // Stock clients enter the user's own channel as soon as they are signed in.
        let own = format!("#server-to-user-{}", access.user.uuid);
        let elsewhere = ctx.chat().expect_subscription(&access, &socket, &own, None);
        let auth = format!("{}:{signed}{}", platform.key, proof(&platform, &socket, &own, elsewhere));
        Ok(ctx.answer(StatusCode::OK, &UserSignature { auth, user_data }))
    })
    .await
}

/// Who a signed-in user is, and to whom they wrote last.
fn user_data(user: &User, inbox: &[InboxEntry]) -> String {
    let others = inbox.iter().flat_map(|entry| &entry.direct.members).map(|member| member.user.uuid);
    let watchlist: BTreeSet<Uuid> = others.filter(|other| *other != user.uuid).take(WATCHED_MAX).collect();
    let info = PresenceInfo { name: &user.name, avatar: user.avatar.as_deref() };
    text(&UserData { id: user.uuid, user_info: info, watchlist })
}

/// Where the client is in the log, for that channel: one cursor for all channels, or one for each, as an
/// object or the text of one. What a script sends for a variable that it has not set is none.
fn since(fields: &mut Fields, channel: &str) -> Option<EventId> {
    let sent = match fields.value("since")? {
        Value::String(text) if matches!(text.trim(), "" | "null" | "undefined") => return None,
        Value::String(text) if text.trim_start().starts_with('{') => serde_json::from_str(&text).unwrap_or_default(),
        sent => sent,
    };
    let one = match sent {
        Value::Object(mut by_channel) => by_channel.remove(channel).filter(|one| !one.is_null())?,
        one => one,
    };
    let number = match &one {
        Value::Number(number) => number.as_i64(),
        Value::String(digits) => digits.trim().parse().ok(),
        _ => None,
    };
    let Some(number) = number else {
        fields.wrong("since", Rule::Integer);
        return None;
    };
    let is_cursor = (0..=INTEGER_MAX).contains(&number);
    if !is_cursor {
        fields.wrong("since", Rule::Valid);
    }
    is_cursor.then_some(EventId(number))
}

/// Two numbers with a dot between them.
fn is_socket(name: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    name.split_once('.').is_some_and(|(one, other)| is_number(one) && is_number(other))
}

/// What a channel is about, and whether its subscribers see each other; `None` for channels that are not
/// here.
fn topic(channel: &str) -> Option<(Topic, bool)> {
    if let Some(uuid) = channel.strip_prefix("presence-conversation.") {
        return Some((Topic::Conversation(canonical(uuid)?), true));
    }
    let name = channel.strip_prefix("private-").unwrap_or(channel);
    if name == "backoffice" {
        return Some((Topic::Backoffice, false));
    }
    let (kind, uuid) = name.split_once('.')?;
    let uuid = canonical(uuid)?;
    let topic = match kind {
        "conversation" => Topic::Conversation(uuid),
        "users" => Topic::User(uuid),
        "platform" => Topic::Platform(uuid),
        _ => return None,
    };
    Some((topic, false))
}

/// A uuid as channels are named by it: another spelling would be a channel on which nothing is told.
fn canonical(name: &str) -> Option<Uuid> {
    Uuid::try_parse(name).ok().filter(|uuid| uuid.to_string() == name)
}

/// Who a subscriber of a presence channel is, for the others.
#[derive(Serialize)]
struct Presence<'a> {
    user_id: Uuid,
    user_info: PresenceInfo<'a>,
}

#[derive(Serialize)]
struct PresenceInfo<'a> {
    name: &'a str,
    avatar: Option<&'a str>,
}

fn presence(user: &User) -> String {
    let info = PresenceInfo { name: &user.name, avatar: user.avatar.as_deref() };
    text(&Presence { user_id: user.uuid, user_info: info })
}

/// JSON as text; what serde writes is UTF-8.
fn text(value: &impl Serialize) -> String {
    String::from_utf8_lossy(&json::bytes(value)).into_owned()
}

/// Who a signed-in user is, for the others and for the server.
#[derive(Serialize)]
struct UserData<'a> {
    id: Uuid,
    user_info: PresenceInfo<'a>,
    watchlist: BTreeSet<Uuid>,
}

/// Signs the names as they were sent, and what the client will send along.
fn signed(platform: &Platform, socket: &str, channel: &str, data: Option<String>) -> Signature {
    let signed = signature::subscription(&platform.secret, socket, channel, data.as_deref());
    Signature { auth: format!("{}:{signed}", platform.key), channel_data: data }
}

/// What a client brings to the node that has its connection, behind the protocol's own signature, which clients hand on
/// as it is: who was authorised, by which token, and from where on. Nothing, where that node is this one.
fn proof(platform: &Platform, socket: &str, channel: &str, elsewhere: Option<Expected>) -> String {
    let Some(expected) = elsewhere else { return String::new() };
    let what = expected.text();
    let signed = signature::voucher(&platform.secret, socket, channel, &what);
    format!(":{what}:{signed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_two_numbers() {
        assert!(is_socket("1.1") && is_socket("123456.987654"));
        for wrong in ["", ".", "1", "1.", ".1", "1.1.1", "1.a", "-1.1", "1.1\n", "٣.١"] {
            assert!(!is_socket(wrong), "{wrong:?}");
        }
    }

    fn read(since: Value) -> (Option<i64>, bool) {
        let members = serde_json::Map::from_iter([("since".to_owned(), since)]);
        let mut fields = Fields::from(crate::http::body::Object { members, is_form: false });
        let read = since_of(&mut fields);
        (read, fields.finish().is_ok())
    }

    fn since_of(fields: &mut Fields) -> Option<i64> {
        since(fields, "private-a").map(|cursor| cursor.0)
    }

    #[test]
    fn a_cursor_is_for_all_channels_or_for_each() {
        use serde_json::json;
        for (sent, want) in [
            (json!(7), Some(7)),
            (json!("7"), Some(7)),
            (json!(0), Some(0)),
            (json!(INTEGER_MAX), Some(INTEGER_MAX)),
            (json!({"private-a": 7, "private-b": "x"}), Some(7)),
            (json!(r#"{"private-a": "7"}"#), Some(7)),
            (json!({"private-b": 7}), None),
            (json!({"private-a": null}), None),
            (json!({}), None),
            (json!(null), None),
            (json!(""), None),
            (json!("undefined"), None),
        ] {
            assert_eq!(read(sent.clone()), (want, true), "{sent}");
        }
        for wrong in [
            json!(-1),
            json!(1.5),
            json!(true),
            json!([7]),
            json!("x"),
            json!("NaN"),
            json!("9".repeat(400)),
            json!(INTEGER_MAX + 1),
            json!("{"),
            json!("[object Object]"),
            json!({"private-a": -7}),
            json!({"private-a": {"private-a": 7}}),
        ] {
            assert_eq!(read(wrong.clone()), (None, false), "{wrong}");
        }
    }
}
