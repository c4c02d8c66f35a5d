//! Who may subscribe to which channel, as stock clients of the Pusher protocol ask it: the answer is a
//! signature that the socket then shows.

use axum::http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use super::Answered;
use super::context::{Caller, Ctx, Input};
use super::envelope::Failure;
use super::requests::Subscribe;
use super::wire::Signature;
use crate::chat::Topic;
use crate::domain::{Platform, User};
use crate::error::{Error, Refusal, Rule};
use crate::http::signature;

/// Longest name of a channel, in characters, by the protocol.
const CHANNEL_CHARS_MAX: usize = 164;
/// Longest name of a socket: two numbers of 64 bits.
const SOCKET_CHARS_MAX: usize = 41;

/// Authorize a subscription
///
/// `private-conversation.{uuid}` and `presence-conversation.{uuid}` for the conversation's users,
/// `private-users.{uuid}` for that user, `private-platform.{key}` for the platform's users, and
/// `private-backoffice` for who has the role `backoffice`. The prefixes may be left out. JSON or a form.
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
        fields.finish()?;
        let (topic, is_presence) =
            topic(&channel).ok_or(Failure::Subscription(Error::Forbidden(Refusal::NotMember)))?;
        ctx.chat().may_follow(&access, topic).await.map_err(Failure::Subscription)?;
        let data = is_presence.then(|| presence(&access.user));
        Ok(ctx.answer(StatusCode::OK, &signed(&platform, &socket, &channel, data)))
    })
    .await
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
        return Some((Topic::Conversation(Uuid::try_parse(uuid).ok()?), true));
    }
    let name = channel.strip_prefix("private-").unwrap_or(channel);
    if name == "backoffice" {
        return Some((Topic::Backoffice, false));
    }
    let (kind, uuid) = name.split_once('.')?;
    let uuid = Uuid::try_parse(uuid).ok()?;
    let topic = match kind {
        "conversation" => Topic::Conversation(uuid),
        "users" => Topic::User(uuid),
        "platform" => Topic::Platform(uuid),
        _ => return None,
    };
    Some((topic, false))
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
    let presence = crate::http::json::bytes(&Presence { user_id: user.uuid, user_info: info });
    String::from_utf8_lossy(&presence).into_owned()
}

/// Signs the names as they were sent, and what the client will send along.
fn signed(platform: &Platform, socket: &str, channel: &str, data: Option<String>) -> Signature {
    let signed = signature::subscription(&platform.secret, socket, channel, data.as_deref());
    Signature { auth: format!("{}:{signed}", platform.key), channel_data: data }
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
}
