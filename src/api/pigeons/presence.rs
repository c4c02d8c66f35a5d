//! Who is there: asked for, and told on the platform's channels when it changes.

use std::collections::HashSet;
use std::time::Duration;

use axum::http::StatusCode;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Answered;
use super::broadcast::{BACKOFFICE, Encode};
use super::context::{Caller, Ctx};
use super::envelope::Shown;
use super::wire::instant;
use crate::chat::SharedChat;
use crate::domain::{Platform, Timestamp, UserId};
use crate::error::{Error, Result, Rule};
use crate::http::json;
use crate::realtime::sockets::Published;

/// Users that can be asked for at once.
const ASKED_MAX: usize = 100;
/// Who leaves and comes back within this time, as a change of pages does, was there all the time.
const SETTLE: Duration = Duration::from_secs(2);

/// Whether a user is there.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Presence)]
pub struct PresenceResource {
    /// Who.
    uuid: Uuid,
    /// Whether they have a connection.
    online: bool,
    /// When they were last seen: now, or when their last connection ended. Null for who never had one.
    #[schema(required = true, example = "2026-02-03T08:00:00+00:00")]
    last_seen_at: Option<String>,
}

/// See who is there
///
/// Of users of the platform; who is not of it is left out. What changes is told as `user.presence` on
/// `private-platform.{key}` and on `private-backoffice`.
#[utoipa::path(get, path = "/api/v1/pigeons/presence", operation_id = "pigeons_read_presence", tag = "pigeons",
    security(("bearer" = [])),
    params(("users" = String, Query, description = "Up to 100 users' uuids, with commas between them")),
    responses(
        (status = 200, description = "Those who are known", body = Shown<Vec<PresenceResource>>),
        (status = 422, description = "No users are named, too many, or one is no uuid"),
    ))]
pub async fn read(ctx: Ctx) -> Answered {
    ctx.run(async {
        let Caller { platform, .. } = ctx.caller().await?;
        let mut query = ctx.query();
        let named = query.required("users", ASKED_MAX * 40);
        let users: Option<Vec<Uuid>> = named.split(',').map(|one| Uuid::try_parse(one.trim()).ok()).collect();
        let users = users.filter(|users| users.len() <= ASKED_MAX);
        if !named.is_empty() && users.is_none() {
            query.wrong("users", Rule::Valid);
        }
        query.finish()?;
        let seen = ctx.chat().presence(&platform, users.unwrap_or_default()).await?;
        let now = ctx.chat().now();
        let data: Vec<_> = seen.into_iter().map(|(uuid, online, at)| resource(uuid, online, at, now)).collect();
        Ok(ctx.answer(StatusCode::OK, &Shown { data }))
    })
    .await
}

fn resource(uuid: Uuid, online: bool, at: Option<Timestamp>, now: Timestamp) -> PresenceResource {
    let at = if online { Some(now) } else { at };
    PresenceResource { uuid, online, last_seen_at: at.map(instant) }
}

/// Tells who comes and goes, until `stop`, and notes when they were last seen.
pub(super) async fn tell(chat: SharedChat, encode: Encode, stop: CancellationToken) {
    let mut told = HashSet::new();
    while stop.run_until_cancelled(chat.online().changed()).await.is_some() {
        let _ = stop.run_until_cancelled(tokio::time::sleep(SETTLE)).await;
        let mut moved = Vec::new();
        for user in chat.online().take_changed() {
            if turn(&chat, &mut told, user).await {
                moved.push(user);
            }
        }
        if let Err(error) = chat.note_seen(&moved).await {
            tracing::warn!(error = %error, "when users were last seen is not noted");
        }
        for user in moved {
            if let Err(error) = publish(&chat, encode, user, told.contains(&user)).await {
                tracing::warn!(error = %error, "who came or left is not told");
            }
        }
    }
    // Whose connections the drain ended.
    let _ = chat.note_seen(&chat.online().take_changed()).await;
}

/// Whether what was told last of a user has become wrong, and this node is the one to say so.
async fn turn(chat: &SharedChat, told: &mut HashSet<UserId>, user: UserId) -> bool {
    let here = chat.online().has(user);
    let Some(nodes) = chat.sockets().nodes() else { return note(told, user, here) };
    match nodes.turn_account(user).await {
        Ok(Some(online)) => {
            note(told, user, online);
            true
        }
        Ok(None) => false,
        // It goes by what is known here until it is known what others know.
        Err(_) => note(told, user, here),
    }
}

fn note(told: &mut HashSet<UserId>, user: UserId, online: bool) -> bool {
    if online { told.insert(user) } else { told.remove(&user) }
}

async fn publish(chat: &SharedChat, encode: Encode, user: UserId, online: bool) -> Result<()> {
    let Some((user, platform)) = chat.user_with_platform(user).await? else { return Ok(()) };
    let now = chat.now();
    let data = json::bytes(&resource(user.uuid, online, Some(now), now));
    let data = String::from_utf8(data).map_err(Error::internal)?;
    for channel in channels(&platform) {
        let sockets = chat.sockets();
        if sockets.nodes().is_some() || sockets.has_subscribers(platform.id, &channel) {
            let frame = encode("user.presence", &channel, &data);
            sockets.publish_everywhere(platform.id, &channel, Published { frame, ..Published::default() });
        }
    }
    Ok(())
}

fn channels(platform: &Platform) -> [String; 2] {
    [format!("private-platform.{}", platform.key), BACKOFFICE.to_owned()]
}
