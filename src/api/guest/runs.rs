//! The assistant's answers that a guest is being given: seen by who comes back, and stopped.

use super::Answered;
use super::context::{Count, Ctx, Segment};
use super::envelope::Success;
use super::wire::{ChatMessageResource, Stopped};
use crate::api::events;
use crate::api::run::RunUnderWay;
use crate::domain::ConversationKind;

/// List the answers under way
///
/// What the assistant is saying, each answer with its text so far: what the `run` and `run_text` events that come after
/// `Event-Cursor` are applied to.
#[utoipa::path(get, path = "/api/v1/chat/guest/{sessionId}/runs", operation_id = "guest_list_runs", tag = "guest",
    params(("sessionId" = String, Path, description = "Guest session key")),
    responses((status = 200, description = "The answers under way", body = Success<Vec<RunUnderWay<'static>>>,
        headers(("Event-Cursor" = i64, description = "Follow from here")))))]
pub async fn list(ctx: Ctx, Segment(key): Segment) -> Answered {
    ctx.run(async {
        let channel = ctx.session(&key, Count::Poll).await?;
        let conversation = ctx.chat().conversation(ConversationKind::LiveChat, channel.id()).await?;
        let runs = ctx.chat().runs_of(channel.id()).await?;
        let shown: Vec<_> = runs.iter().map(RunUnderWay::from).collect();
        let mut response = ctx.ok("runs-retrieved", shown);
        events::mark(&mut response, conversation.head.event_id);
        Ok(response)
    })
    .await
}

/// Stop the assistant
///
/// What had arrived of its answer is kept, as an incomplete message.
#[utoipa::path(post, path = "/api/v1/chat/guest/{sessionId}/stop", operation_id = "guest_stop_answer", tag = "guest",
    params(("sessionId" = String, Path, description = "Guest session key")),
    responses((status = 200, description = "What became of it", body = Success<Stopped>)))]
pub async fn stop(ctx: Ctx, Segment(key): Segment) -> Answered {
    ctx.run(async {
        let channel = ctx.session(&key, Count::Send).await?;
        let (stopped, kept) = ctx.chat().stop_answering(channel.id()).await?;
        let message = kept.map(|message| ChatMessageResource::from(message.as_ref()));
        let text = if stopped { "answer-stopped" } else { "answer-none" };
        Ok(ctx.ok(text, Stopped { stopped, message }))
    })
    .await
}
