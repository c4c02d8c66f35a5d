//! A guest opens a session, reads its history, and asks for a person.

use std::sync::Arc;

use axum::http::StatusCode;

use super::Answered;
use super::context::{Count, Ctx, Input, Segment};
use super::envelope::{Failure, Success};
use super::messages::paged;
use super::wire::{ChatSessionResource, History, OpenSession, SessionWithMessages, StaffSummary, Transferred};
use crate::api::events;
use crate::domain::{Contact, Conversation, ConversationKind, Email, EventId};
use crate::error::{Error, Result, Rule, Subject};
use crate::http::fields::Fields;
use crate::http::json;

/// Longest session key, in characters.
const KEY_CHARS_MAX: usize = 100;
/// A key that a client chooses is a capability: with fewer characters it could be guessed.
const KEY_CHARS_MIN: usize = 16;

/// Open a session
///
/// Returns the session with that key and its messages, or a new one. Without a key the server
/// makes one that cannot be guessed. What is said of the guest is added to what is known.
#[utoipa::path(post, path = "/api/v1/chat/guest/session", operation_id = "guest_open_session",
    tag = "guest", request_body = OpenSession,
    responses((status = 201, description = "The session with its messages",
        body = Success<SessionWithMessages>, headers(("Event-Cursor" = i64, description = "Follow from here")))))]
pub async fn open(ctx: Ctx, input: Input) -> Answered {
    ctx.run(async {
        ctx.count_address().await?;
        let (key, contact) = request(&ctx, input.fields().await?)?;
        let (conversation, _) = ctx.chat().open_live_chat(key, contact, None).await?;
        let channel = ctx.chat().live_chat(&conversation.key).await?;
        let mut response = with_messages(&ctx, &channel, &conversation, "session-created").await?;
        *response.status_mut() = StatusCode::CREATED;
        Ok(response)
    })
    .await
}

fn request(ctx: &Ctx, mut fields: Fields) -> Result<(Option<String>, Contact)> {
    let field = if fields.is_missing("session_key") { "session_id" } else { "session_key" };
    let key = key(ctx, &mut fields, field, KEY_CHARS_MAX);
    let contact = Contact {
        name: fields.optional_line("guest_name", 255),
        email: fields.email("guest_email").as_ref().map(Email::as_str).map(str::to_owned),
        phone: fields.optional_line("guest_phone", 20),
    };
    fields.finish()?;
    Ok((key, contact))
}

/// A key that a client chose, wherever one may open a session.
pub(super) fn key(ctx: &Ctx, fields: &mut Fields, field: &'static str, chars_max: usize) -> Option<String> {
    let key = fields.optional(field, chars_max)?;
    if key.chars().count() < KEY_CHARS_MIN && !ctx.door().allow_weak_keys {
        fields.wrong(field, Rule::CharsMin(KEY_CHARS_MIN));
    }
    Some(key)
}

/// The envelope of a session with all its messages.
async fn with_messages(
    ctx: &Ctx,
    channel: &Arc<crate::chat::Channel>,
    conversation: &Conversation,
    text: &str,
) -> Result<axum::response::Response> {
    let page = ctx.chat().messages_after(channel, EventId::START).await?;
    let session = json::bytes(&ChatSessionResource::from(conversation));
    let open = format!("{{\"session\":{},\"messages\":[", String::from_utf8_lossy(&session));
    let mut response = paged(ctx, channel, page, text, &open, "]}");
    events::mark(&mut response, conversation.head.event_id);
    Ok(response)
}

/// Read the history
///
/// The session with all its messages, oldest first. An unknown session has an empty history. The header
/// `Event-Cursor` is where to follow the session from so that nothing falls between.
#[utoipa::path(get, path = "/api/v1/chat/guest/{sessionId}/history", operation_id = "guest_read_history", tag = "guest",
    params(("sessionId" = String, Path, description = "Guest session key")),
    responses((status = 200, description = "The session with its messages, or an empty list when there is none",
        body = Success<History>, headers(("Event-Cursor" = i64, description = "Follow from here")))))]
pub async fn history(ctx: Ctx, Segment(key): Segment) -> Answered {
    ctx.run(async {
        let channel = match ctx.session(&key, Count::Poll).await {
            Err(Failure::Chat(Error::NotFound(Subject::Conversation))) => {
                return Ok(ctx.ok("history-none", [(); 0]));
            }
            other => other?,
        };
        let conversation = ctx.chat().conversation(ConversationKind::LiveChat, channel.id()).await?;
        Ok(with_messages(&ctx, &channel, &conversation, "history-retrieved").await?)
    })
    .await
}

/// Ask for a person
///
/// Assigns the session to a member of staff who is free, who joins with a message. When nobody is
/// free, `data` is null and nothing changes.
#[utoipa::path(post, path = "/api/v1/chat/guest/{sessionId}/transfer-human", operation_id = "guest_ask_for_a_person",
    tag = "guest",
    params(("sessionId" = String, Path, description = "Guest session key")),
    responses((status = 200, description = "Who takes over, or null", body = Success<Option<Transferred>>)))]
pub async fn transfer(ctx: Ctx, Segment(key): Segment) -> Answered {
    ctx.run(async {
        let channel = ctx.session(&key, Count::Send).await?;
        let Some(user) = ctx.chat().transfer_to_staff(&channel).await? else {
            return Ok(ctx.ok("transfer-nobody", ()));
        };
        let message = ctx.texts().with(ctx.language(), "transfer-joined", &[("name", &user.name)]);
        let staff = StaffSummary { id: user.id.0, name: user.name, avatar: user.avatar };
        Ok(ctx.ok("transfer-done", Transferred { staff, message }))
    })
    .await
}
