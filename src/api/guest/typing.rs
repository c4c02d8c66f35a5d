//! Who is typing: told to the other side, and kept nowhere.

use super::Answered;
use super::context::{Count, Ctx, Input, Segment};
use super::envelope::{Failure, Success};
use super::staff::number;
use super::wire::{Typing, TypingTold};
use crate::limits::LimitKey;

/// Say that the guest types
///
/// Told to staff who follow. Say it again every few seconds: others forget it after six. Without a body it means
/// that they type.
#[utoipa::path(post, path = "/api/v1/chat/guest/{sessionId}/typing", operation_id = "guest_say_typing",
    tag = "guest", request_body = Option<Typing>,
    params(("sessionId" = String, Path, description = "Guest session key")),
    responses((status = 200, description = "It was told", body = Success<TypingTold>)))]
pub async fn guest(ctx: Ctx, Segment(key): Segment, input: Input) -> Answered {
    ctx.run(async {
        let channel = ctx.session(&key, Count::Typing).await?;
        let is_typing = is_typing(input).await?;
        ctx.chat().guest_types(&channel, is_typing);
        Ok(ctx.ok("typing-told", TypingTold { is_typing }))
    })
    .await
}

/// Say that staff types
///
/// Told to the guest, and to other staff who follow. Only in a session that is assigned to me.
#[utoipa::path(post, path = "/api/v1/chat/sessions/{id}/typing", operation_id = "staff_say_typing",
    tag = "staff", security(("bearer" = [])), request_body = Option<Typing>,
    params(("id" = i64, Path, description = "The session's number")),
    responses((status = 200, description = "It was told", body = Success<TypingTold>)))]
pub async fn staff(ctx: Ctx, Segment(id): Segment, input: Input) -> Answered {
    ctx.run(async {
        let access = ctx.staff().await?;
        ctx.count_typing(LimitKey::User(access.user.id.0)).await?;
        let channel = ctx.chat().live_chat_numbered(number(&id)?).await?;
        let is_typing = is_typing(input).await?;
        ctx.chat().staff_types(&access, &channel, is_typing).await?;
        Ok(ctx.ok("typing-told", TypingTold { is_typing }))
    })
    .await
}

async fn is_typing(input: Input) -> Result<bool, Failure> {
    let mut fields = input.fields().await?;
    let is_typing = fields.boolean("is_typing").unwrap_or(true);
    fields.finish()?;
    Ok(is_typing)
}
