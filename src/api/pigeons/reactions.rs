//! Emojis that users put to a message.

use super::Answered;
use super::context::{Caller, Ctx, Input, Segment};
use super::envelope::Note;
use super::messages::named;
use super::requests::AddReaction;
use crate::chat::Deed;
use crate::domain::clean_line;

/// Longest emoji, in characters: some are made of many.
const EMOJI_CHARS_MAX: usize = 10;

/// Add a reaction
///
/// Each user may put several emojis to a message, each once.
#[utoipa::path(post, path = "/api/v1/pigeons/chat/messages/{message}/reactions",
    operation_id = "pigeons_add_reaction", tag = "pigeons", security(("bearer" = [])),
    request_body = AddReaction,
    params(("message" = String, Path, description = "The message's id")),
    responses(
        (status = 200, description = "It is there", body = Note),
        (status = 422, description = "The input is not valid, or the caller has put too many there"),
    ))]
pub async fn add(ctx: Ctx, Segment(name): Segment, input: Input) -> Answered {
    ctx.run(async {
        let Caller { access, .. } = ctx.caller().await?;
        let mut fields = input.fields().await?;
        let emoji = fields.required_line("emoji", EMOJI_CHARS_MAX);
        fields.finish()?;
        let number = named(&name)?;
        ctx.spare(Deed::Reacted(number, access.user.id));
        ctx.chat().react(&access, number, emoji, false).await?;
        Ok(ctx.note("reaction-added"))
    })
    .await
}

/// Remove a reaction
///
/// One of the caller's own; one that is not there is gone already.
#[utoipa::path(delete, path = "/api/v1/pigeons/chat/messages/{message}/reactions/{emoji}",
    operation_id = "pigeons_remove_reaction", tag = "pigeons", security(("bearer" = [])),
    params(
        ("message" = String, Path, description = "The message's id"),
        ("emoji" = String, Path, description = "The emoji, percent-encoded"),
    ),
    responses((status = 200, description = "It is not there", body = Note)))]
pub async fn remove(ctx: Ctx, Segment((name, emoji)): Segment<(String, String)>) -> Answered {
    ctx.run(async {
        let Caller { access, .. } = ctx.caller().await?;
        let number = named(&name)?;
        ctx.spare(Deed::Reacted(number, access.user.id));
        ctx.chat().react(&access, number, clean_line(&emoji), true).await?;
        Ok(ctx.note("reaction-removed"))
    })
    .await
}
