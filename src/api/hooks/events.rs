//! The pull form: the platform's events, read by who keeps the cursor themselves.

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::Answered;
use super::context::Ctx;
use super::endpoints::cursor;
use crate::api::log::LogEvent;
use crate::domain::EventId;

/// Events of one page, unless it asks for fewer or more.
const PAGE: i64 = 100;
const PAGE_MAX: i64 = 500;

/// A page of events.
#[derive(Serialize, ToSchema)]
#[schema(as = hooks::EventPage)]
pub struct EventPage {
    /// The events after the cursor, in order.
    data: Vec<LogEvent>,
    /// What to ask for next with `after`.
    #[schema(example = 41)]
    cursor: i64,
    /// Whether there is more already; a page may then be empty all the same.
    has_more: bool,
}

/// List events
///
/// What happened in the platform's conversations after a cursor, each event once, in order: the same events that
/// endpoints are told, with the same ids.
#[utoipa::path(get, path = "/api/v1/events", operation_id = "hooks_list_events", tag = "hooks",
    security(("bearer" = [])),
    params(
        ("after" = Option<i64>, Query, description = "The last cursor that is known; 0, the beginning, by default"),
        ("limit" = Option<i64>, Query, description = "At most so many: 1 to 500, 100 by default"),
    ),
    responses(
        (status = 200, description = "The events", body = EventPage),
        (status = 422, description = "The cursor is no number, negative, or beyond the end of the log"),
    ))]
pub async fn list(ctx: Ctx) -> Answered {
    ctx.run(async {
        let platform = ctx.platform().await?;
        let mut query = ctx.query();
        let after = cursor(&mut query, "after").unwrap_or(EventId::START);
        let limit = query.integer("limit").unwrap_or(PAGE).clamp(1, PAGE_MAX);
        query.finish()?;
        let page = ctx.chat().platform_feed(platform, after, usize::try_from(limit).unwrap_or(1)).await?;
        let people = ctx.chat().people_of(&page.events).await?;
        let data = page.events.iter().map(|logged| LogEvent::new(logged, &people)).collect();
        Ok(ctx.answer(StatusCode::OK, &EventPage { data, cursor: page.through.0, has_more: !page.is_end }))
    })
    .await
}
