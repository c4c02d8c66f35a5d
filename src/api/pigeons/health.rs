//! Whether the door is open, for who only knows the platform's key.

use super::Answered;
use super::context::Ctx;
use super::envelope::Shown;
use super::wire::{Health, Routes, instant};

/// How the door is
///
/// Wants the platform's key, and nobody to be signed in. A client that cannot send the header
/// `X-PUBLIC-KEY` sends the key as the query's `pbk`, here as everywhere.
#[utoipa::path(get, path = "/api/v1/pigeons/health", operation_id = "pigeons_health", tag = "pigeons",
    responses(
        (status = 200, description = "It is open", body = Shown<Health>),
        (status = 401, description = "The request names no platform"),
        (status = 403, description = "There is no such platform"),
    ))]
pub async fn read(ctx: Ctx) -> Answered {
    ctx.run(async {
        ctx.count_address().await?;
        let platform = ctx.platform().await?;
        let origin = ctx.origin().unwrap_or_default();
        Ok(ctx.shown(Health {
            domain: origin.split_once("://").map_or_else(String::new, |(_, host)| host.to_owned()),
            slug: platform.slug,
            status: "ok",
            checked_at: instant(ctx.chat().now()),
            routes: Routes { file: "pigeons", exists: true, last_modified: () },
        }))
    })
    .await
}
