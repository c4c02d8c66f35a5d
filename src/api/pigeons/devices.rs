//! The caller's devices: told by push, and counted.

use axum::http::StatusCode;

use super::Answered;
use super::context::{Caller, Ctx, Input, Segment};
use super::envelope::{Note, Shown, Told};
use super::messages::described;
use super::requests::RegisterDevice;
use super::wire::{DeviceCount, PushDeviceResource};
use crate::chat::DeviceRegistration;
use crate::domain::PushOs;
use crate::error::{Error, Rule};

/// Longest push token, in characters.
const TOKEN_CHARS_MAX: usize = 4096;
/// Longest kind of device, in characters.
const KIND_CHARS_MAX: usize = 255;
/// What can be told by push.
const PLATFORMS: &[&str] = &["android", "ios", "web"];

/// Register a device for push
///
/// The same token again takes the place of the first.
#[utoipa::path(post, path = "/api/v1/pigeons/chat/devices", operation_id = "pigeons_register_device",
    tag = "pigeons", security(("bearer" = [])), request_body = RegisterDevice,
    responses(
        (status = 201, description = "The device", body = Told<PushDeviceResource>),
        (status = 422, description = "The input is not valid; every field that is wrong is listed"),
    ))]
pub async fn register(ctx: Ctx, input: Input) -> Answered {
    ctx.run(async {
        let Caller { access, .. } = ctx.caller().await?;
        let mut fields = input.fields().await?;
        let token = fields.required("token", TOKEN_CHARS_MAX);
        let os = fields.needed("platform", |fields, name| fields.choice(name, PLATFORMS));
        let is_described = !fields.is_missing("device");
        let device = fields.inside("device", |device| {
            let kind = device.optional_line("type", KIND_CHARS_MAX);
            described(device, kind.as_deref(), false)
        });
        fields.finish()?;
        let os = os.and_then(PushOs::parse).ok_or_else(|| Error::field("platform", Rule::Required))?;
        let new = DeviceRegistration { token, os, device: is_described.then_some(device) };
        let device = ctx.chat().add_push_device(&access, new).await?;
        Ok(ctx.told(StatusCode::CREATED, "device-registered", PushDeviceResource::from(&device)))
    })
    .await
}

/// Remove a device
///
/// One of the caller's own; one that is not there is gone already.
#[utoipa::path(delete, path = "/api/v1/pigeons/chat/devices/{token}", operation_id = "pigeons_remove_device",
    tag = "pigeons", security(("bearer" = [])),
    params(("token" = String, Path, description = "What the push service calls it, percent-encoded")),
    responses((status = 200, description = "It is not told any more", body = Note)))]
pub async fn remove(ctx: Ctx, Segment(token): Segment) -> Answered {
    ctx.run(async {
        let Caller { access, .. } = ctx.caller().await?;
        ctx.chat().remove_push_device(&access, token.trim()).await?;
        Ok(ctx.note("device-removed"))
    })
    .await
}

/// Count my messages by device
///
/// The messages of all the caller's conversations, by what they were written on.
#[utoipa::path(get, path = "/api/v1/pigeons/chat/stats/devices", operation_id = "pigeons_count_devices",
    tag = "pigeons", security(("bearer" = [])),
    responses((status = 200, description = "The counts, the largest first", body = Shown<Vec<DeviceCount>>)))]
pub async fn count(ctx: Ctx) -> Answered {
    ctx.run(async {
        let Caller { access, .. } = ctx.caller().await?;
        let counts = ctx.chat().letter_devices(&access).await?.into_iter();
        let counts: Vec<_> = counts.map(|(kind, count)| DeviceCount { kind: kind.as_str(), count }).collect();
        Ok(ctx.shown(counts))
    })
    .await
}
