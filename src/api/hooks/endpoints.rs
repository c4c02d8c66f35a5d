//! The endpoints of a platform.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::Value;

use super::Answered;
use super::context::{Ctx, Input, Segment};
use super::envelope::{Failure, Shown};
use super::wire::{AddEndpoint, EditEndpoint, Endpoint, NewEndpoint};
use crate::chat::{HookEdit, HookOwner, WebhookDraft};
use crate::domain::{EventId, HookForm, Webhook, WebhookId};
use crate::error::{Error, Rule, Subject};
use crate::http::fields::Fields;

/// At most so many types are listed.
const TYPES_MAX: usize = 32;
const TYPES_BYTES_MAX: usize = 2048;

/// List the endpoints
#[utoipa::path(get, path = "/api/v1/webhooks", operation_id = "hooks_list_endpoints", tag = "hooks",
    security(("bearer" = [])),
    responses((status = 200, description = "The endpoints, the oldest first", body = Shown<Vec<Endpoint>>)))]
pub async fn list(ctx: Ctx) -> Answered {
    ctx.run(async {
        let owner = HookOwner::Platform(ctx.platform().await?);
        let hooks = ctx.chat().webhooks(owner).await?;
        Ok(ctx.shown(StatusCode::OK, hooks.iter().map(Endpoint::from).collect::<Vec<_>>()))
    })
    .await
}

/// Add an endpoint
///
/// It is told of what happens in the platform's conversations. Its key is shown this once.
#[utoipa::path(post, path = "/api/v1/webhooks", operation_id = "hooks_add_endpoint", tag = "hooks",
    security(("bearer" = [])), request_body = AddEndpoint,
    responses(
        (status = 201, description = "The endpoint with its key", body = Shown<NewEndpoint>),
        (status = 422, description = "The input is not valid; every field that is wrong is listed"),
    ))]
pub async fn add(ctx: Ctx, input: Input) -> Answered {
    ctx.run(async {
        let platform = ctx.platform().await?;
        let mut fields = input.fields().await?;
        let url = fields.required("url", Webhook::URL_CHARS_MAX);
        let form = fields.choice("form", HookForm::NAMES).and_then(HookForm::parse);
        let kinds = kinds(&mut fields).unwrap_or_default();
        let after = cursor(&mut fields, "after");
        fields.finish()?;
        let draft = WebhookDraft { url, form: form.unwrap_or(HookForm::Standard), kinds, after };
        let hook = ctx.chat().add_webhook(Some(platform), draft).await?;
        Ok(ctx.shown(StatusCode::CREATED, with_key(&ctx, &hook)))
    })
    .await
}

/// Read an endpoint
#[utoipa::path(get, path = "/api/v1/webhooks/{id}", operation_id = "hooks_read_endpoint", tag = "hooks",
    security(("bearer" = [])), params(("id" = i64, Path, description = "The endpoint's number")),
    responses((status = 200, description = "The endpoint", body = Shown<Endpoint>)))]
pub async fn read(ctx: Ctx, Segment(id): Segment) -> Answered {
    ctx.run(async {
        let owner = HookOwner::Platform(ctx.platform().await?);
        let hook = ctx.chat().webhook(owner, number(&id)?).await?;
        Ok(ctx.shown(StatusCode::OK, Endpoint::from(&hook)))
    })
    .await
}

/// Edit an endpoint
///
/// Switched on again, it is told everything that happened meanwhile.
#[utoipa::path(patch, path = "/api/v1/webhooks/{id}", operation_id = "hooks_edit_endpoint", tag = "hooks",
    security(("bearer" = [])), params(("id" = i64, Path, description = "The endpoint's number")),
    request_body = EditEndpoint,
    responses(
        (status = 200, description = "The endpoint as it is now", body = Shown<Endpoint>),
        (status = 422, description = "The input is not valid; every field that is wrong is listed"),
    ))]
pub async fn edit(ctx: Ctx, Segment(id): Segment, input: Input) -> Answered {
    ctx.run(async {
        let owner = HookOwner::Platform(ctx.platform().await?);
        let id = number(&id)?;
        // Whose it is comes before what is wrong with the request.
        ctx.chat().webhook(owner, id).await?;
        let mut fields = input.fields().await?;
        let url = fields.optional("url", Webhook::URL_CHARS_MAX);
        let kinds = kinds(&mut fields);
        let disabled = fields.boolean("is_active").map(|on| (!on).then(|| ctx.chat().disabled_by_hand()));
        fields.finish()?;
        let hook = ctx.chat().edit_webhook(owner, id, HookEdit { url, kinds, disabled, key: None }).await?;
        Ok(ctx.shown(StatusCode::OK, Endpoint::from(&hook)))
    })
    .await
}

/// Remove an endpoint
///
/// With everything that is on its way to it, and its list of deliveries.
#[utoipa::path(delete, path = "/api/v1/webhooks/{id}", operation_id = "hooks_remove_endpoint", tag = "hooks",
    security(("bearer" = [])), params(("id" = i64, Path, description = "The endpoint's number")),
    responses((status = 204, description = "It is gone")))]
pub async fn remove(ctx: Ctx, Segment(id): Segment) -> Answered {
    ctx.run(async {
        let owner = HookOwner::Platform(ctx.platform().await?);
        ctx.chat().remove_webhook(owner, number(&id)?).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

/// Give an endpoint a new key
///
/// The one before signs beside it for a day. The new one is shown this once.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/rotate", operation_id = "hooks_rotate_endpoint", tag = "hooks",
    security(("bearer" = [])), params(("id" = i64, Path, description = "The endpoint's number")),
    responses(
        (status = 200, description = "The endpoint with its key", body = Shown<NewEndpoint>),
        (status = 422, description = "An endpoint in Pusher's form has no key of its own"),
    ))]
pub async fn rotate(ctx: Ctx, Segment(id): Segment) -> Answered {
    ctx.run(async {
        let owner = HookOwner::Platform(ctx.platform().await?);
        let hook = ctx.chat().rotate_webhook(owner, number(&id)?).await?;
        Ok(ctx.shown(StatusCode::OK, with_key(&ctx, &hook)))
    })
    .await
}

fn with_key(ctx: &Ctx, hook: &Webhook) -> NewEndpoint {
    NewEndpoint::new(hook, ctx.chat().webhook_key(hook))
}

/// What is no number is no endpoint's number.
pub fn number(raw: &str) -> Result<WebhookId, Failure> {
    raw.parse().map(WebhookId).map_err(|_| Error::NotFound(Subject::Webhook).into())
}

/// A cursor, which is not negative.
pub fn cursor(fields: &mut Fields, field: &'static str) -> Option<EventId> {
    let cursor = fields.integer(field)?;
    if cursor < 0 {
        fields.wrong(field, Rule::Positive);
    }
    Some(EventId(cursor))
}

fn kinds(fields: &mut Fields) -> Option<Vec<String>> {
    let items = fields.list("types", TYPES_MAX, TYPES_BYTES_MAX)?;
    let words = items.into_iter().map(|item| match item {
        Value::String(word) => Some(word),
        _ => None,
    });
    let words: Option<Vec<_>> = words.collect();
    if words.is_none() {
        fields.wrong("types", Rule::String);
    }
    words
}
