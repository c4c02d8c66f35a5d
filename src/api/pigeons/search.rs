//! Finding messages by their words.

use std::convert::Infallible;

use super::Answered;
use super::context::{Caller, Ctx};
use super::lists;
use super::messages::number;
use super::wire::{MessageResource, Showing};
use crate::chat::Found;
use crate::http::json;

/// Longest search, in characters.
const QUERY_CHARS_MAX: usize = 200;

/// Search my messages
///
/// Those that the caller wrote or got and that hold every word of `q`, without regard to case and
/// accents; a word may be the beginning of a longer one. The newest first; the page behind is asked for
/// with the last one in `before`.
#[utoipa::path(get, path = "/api/v1/pigeons/chat/search", operation_id = "pigeons_search_messages",
    tag = "pigeons", security(("bearer" = [])),
    params(
        ("q" = String, Query, description = "The words, at most 200 characters"),
        ("limit" = Option<i64>, Query, description = "Messages on a page, 1 to 100"),
        ("before" = Option<String>, Query, description = "Only messages before this one"),
    ),
    responses(
        (status = 200, description = "The messages", body = lists::MessageList<'static>),
        (status = 422, description = "The input is not valid; every field that is wrong is listed"),
    ))]
pub async fn find(ctx: Ctx) -> Answered {
    ctx.run(async {
        let Caller { access, platform } = ctx.caller().await?;
        let mut query = ctx.query();
        let words = query.required("q", QUERY_CHARS_MAX);
        let asked = lists::beside(&mut query, number);
        query.finish()?;
        let found = ctx.chat().search_letters(&access, &words, asked.before, asked.limit).await?;
        let next = found.last().filter(|_| found.len() == asked.limit);
        let next = next.map(|last| ("before", format!("msg_{}", last.message.id)));
        let around = lists::around_cursors(&ctx, asked.limit, None, next);
        let render = move |found: &Found| {
            json::bytes(&MessageResource::new(&found.message, &found.direct, platform.key, Showing::Now))
        };
        let page = json::Page::new(found, render, None::<Infallible>);
        let after = lists::closing("", &around);
        Ok(json::paged(b"{\"data\":[".to_vec(), page, |never| async move { match never {} }, after))
    })
    .await
}
