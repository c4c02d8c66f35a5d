//! The answers of a session that are being made: where who follows it begins.

use super::Answered;
use super::context::{Ctx, Segment};
use super::sessions::find;
use crate::api::events;
use crate::api::run::RunUnderWay;
use crate::http::json;

/// List the answers under way
///
/// A bare array, in the order in which they were asked for, each with its text so far: what the `run` and `run_text`
/// events that come after `Event-Cursor` are applied to.
#[utoipa::path(get, path = "/api/chats/sessions/{id}/runs/", operation_id = "chats_list_runs", tag = "chats",
    params(("id" = String, Path, description = "The session's id or session_id")),
    responses((status = 200, description = "The answers under way", body = Vec<RunUnderWay<'static>>,
        headers(("Event-Cursor" = i64, description = "Follow the session's events from here")))))]
pub async fn list(ctx: Ctx, Segment(id): Segment) -> Answered {
    let session = find(&ctx, &id).await?;
    let runs = ctx.chat().runs_of(session.id).await?;
    let shown: Vec<_> = runs.iter().map(RunUnderWay::from).collect();
    let mut response = json::response(json::bytes(&shown));
    events::mark(&mut response, session.head.event_id);
    Ok(response)
}
