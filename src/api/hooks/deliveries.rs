//! What became of what an endpoint was told, and telling it again.

use axum::http::StatusCode;

use super::Answered;
use super::context::{Ctx, Input, Segment};
use super::endpoints::{cursor, number};
use super::envelope::{Failure, Shown};
use super::wire::{ReplayRequest, Replayed, Told, Tried};
use crate::chat::{DeliveryFilter, HookOwner, Replay};
use crate::domain::{DeliveryId, DeliveryState, EventId};
use crate::error::{Error, Subject};

/// Deliveries of one page, unless it asks for fewer or more.
const PAGE: i64 = 50;
const PAGE_MAX: i64 = 200;

/// List deliveries
///
/// What an endpoint was told or is to be told, newest first.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries", operation_id = "hooks_list_deliveries", tag = "hooks",
    security(("bearer" = [])),
    params(
        ("id" = i64, Path, description = "The endpoint's number"),
        ("state" = Option<String>, Query, description = "Only `waiting`, `due`, `delivered` or `failed` ones"),
        ("before" = Option<i64>, Query, description = "Only those with a smaller number"),
        ("limit" = Option<i64>, Query, description = "At most so many: 1 to 200, 50 by default"),
    ),
    responses(
        (status = 200, description = "The deliveries", body = Shown<Vec<Told>>),
        (status = 422, description = "The input is not valid; every field that is wrong is listed"),
    ))]
pub async fn list(ctx: Ctx, Segment(id): Segment) -> Answered {
    ctx.run(async {
        let owner = HookOwner::Platform(ctx.platform().await?);
        let id = number(&id)?;
        ctx.chat().webhook(owner, id).await?;
        let mut query = ctx.query();
        let state = query.choice("state", DeliveryState::NAMES).and_then(DeliveryState::parse);
        let before = cursor(&mut query, "before").map(|before| DeliveryId(before.0));
        let limit = query.integer("limit").unwrap_or(PAGE).clamp(1, PAGE_MAX);
        query.finish()?;
        let filter = DeliveryFilter { state, before, limit: usize::try_from(limit).unwrap_or(1) };
        let page = ctx.chat().deliveries(owner, id, filter).await?;
        Ok(ctx.shown(StatusCode::OK, page.iter().map(Told::from).collect::<Vec<_>>()))
    })
    .await
}

/// List the tries of a delivery
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries/{delivery}", operation_id = "hooks_list_attempts",
    tag = "hooks", security(("bearer" = [])),
    params(
        ("id" = i64, Path, description = "The endpoint's number"),
        ("delivery" = i64, Path, description = "The delivery's number"),
    ),
    responses((status = 200, description = "The tries, in order", body = Shown<Vec<Tried>>)))]
pub async fn attempts(ctx: Ctx, Segment((id, delivery)): Segment<(String, String)>) -> Answered {
    ctx.run(async {
        let owner = HookOwner::Platform(ctx.platform().await?);
        let delivery = delivery.parse().map(DeliveryId).map_err(|_| Error::NotFound(Subject::Delivery))?;
        let attempts = ctx.chat().attempts(owner, number(&id)?, delivery).await?;
        Ok(ctx.shown(StatusCode::OK, attempts.iter().map(Tried::from).collect::<Vec<_>>()))
    })
    .await
}

/// Tell an endpoint again
///
/// One delivery, however it ended, or all that failed.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/replay", operation_id = "hooks_replay", tag = "hooks",
    security(("bearer" = [])), params(("id" = i64, Path, description = "The endpoint's number")),
    request_body = ReplayRequest,
    responses(
        (status = 202, description = "They are queued again", body = Shown<Replayed>),
        (status = 422, description = "The input is not valid; every field that is wrong is listed"),
    ))]
pub async fn replay(ctx: Ctx, Segment(id): Segment, input: Input) -> Answered {
    ctx.run(async {
        let owner = HookOwner::Platform(ctx.platform().await?);
        let id = number(&id)?;
        ctx.chat().webhook(owner, id).await?;
        let replayed = ctx.chat().replay(owner, id, which(input).await?).await?;
        Ok(ctx.shown(StatusCode::ACCEPTED, Replayed { replayed }))
    })
    .await
}

async fn which(input: Input) -> Result<Replay, Failure> {
    let mut fields = input.fields().await?;
    let one = fields.integer("delivery").map(|delivery| Replay::One(DeliveryId(delivery)));
    let after = cursor(&mut fields, "after").unwrap_or(EventId::START);
    fields.finish()?;
    Ok(one.unwrap_or(Replay::FailedSince(after)))
}
