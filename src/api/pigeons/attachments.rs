//! Files: uploaded before the message that holds them, and downloaded by who may read it.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use super::context::{Caller, Ctx, Segment};
use super::envelope::{Failure, Told};
use super::wire::{ATTACHMENTS, AttachmentResource};
use super::{Answered, Pigeons};
use crate::chat::{THUMBNAIL_TYPE, UploadError};
use crate::domain::{Access, Attachment, Json};
use crate::error::{Error, FieldError, Result, Rule, Subject};
use crate::http::download::{self, Download};
use crate::http::fields::Fields;
use crate::http::json;
use crate::http::multipart::Form;

/// The field that holds the file.
const FILE: &str = "file";

/// A file to be uploaded.
#[derive(utoipa::ToSchema)]
#[schema(as = pigeons::UploadAttachment)]
#[expect(dead_code, reason = "describes what is read as it arrives")]
pub struct UploadAttachment {
    /// The file.
    #[schema(format = Binary, value_type = String)]
    file: (),
}

/// Upload a file
///
/// As `multipart/form-data`, in the field `file`. It is the caller's alone until one of their messages
/// holds it, and gone after a day if none does.
#[utoipa::path(post, path = "/api/v1/pigeons/chat/attachments", operation_id = "pigeons_upload_attachment",
    tag = "pigeons", security(("bearer" = [])),
    request_body(content = UploadAttachment, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "The file", body = Told<AttachmentResource<'static>>),
        (status = 415, description = "The body is no such form"),
        (status = 422, description = "The file is missing, empty, too large, or of a type that is not taken"),
    ))]
pub async fn upload(State(door): State<Pigeons>, ctx: Ctx, request: Request) -> Answered {
    ctx.run(async {
        let Caller { access, .. } = ctx.caller().await?;
        let (parts, body) = request.into_parts();
        let mut form = Form::read(&parts.headers, body, door.uploads).map_err(Failure::Form)?;
        let file = form.file(FILE).await.map_err(Failure::Form)?.ok_or_else(|| Error::field(FILE, Rule::Required))?;
        let name = file.name.clone();
        let uploaded = ctx.chat().upload(access.user.id, &name, file).await;
        let attachment = uploaded.map_err(|error| match error {
            UploadError::Chat(error) => Failure::from(error),
            UploadError::Source(error) => Failure::Form(error),
        })?;
        form.end().await.map_err(Failure::Form)?;
        Ok(ctx.told(StatusCode::CREATED, "attachment-uploaded", AttachmentResource::from(&attachment)))
    })
    .await
}

/// Download a file
///
/// For who uploaded it, and for the users of a conversation in which a message holds it. Whole or in part
/// (`Range`). With `thumbnail=1` a small picture of an image.
#[utoipa::path(get, path = "/api/v1/pigeons/chat/attachments/{attachment}",
    operation_id = "pigeons_download_attachment", tag = "pigeons", security(("bearer" = [])),
    params(
        ("attachment" = String, Path, description = "The file's id"),
        ("thumbnail" = Option<String>, Query, description = "1 for a small picture"),
    ),
    responses(
        (status = 200, description = "The file", body = Vec<u8>, content_type = "*/*"),
        (status = 206, description = "A part of it", body = Vec<u8>, content_type = "*/*"),
        (status = 304, description = "The client has it"),
        (status = 416, description = "The part lies outside of it", body = Vec<u8>,
            content_type = "*/*"),
        (status = 422, description = "`thumbnail` is neither true nor false"),
    ))]
pub async fn download(ctx: Ctx, Segment(name): Segment, headers: HeaderMap) -> Answered {
    ctx.run(async {
        let Caller { access, .. } = ctx.caller().await?;
        let mut query = ctx.query();
        let is_small = query.unless_blank("thumbnail", Fields::boolean).unwrap_or(false);
        query.finish()?;
        let uuid = Uuid::try_parse(&name).map_err(|_| Error::NotFound(Subject::Attachment))?;
        let attachment = ctx.chat().attachment(access.user.id, uuid).await?;
        if is_small { small(&ctx, &attachment).await } else { whole(&ctx, &attachment, &headers).await }
    })
    .await
}

async fn whole(ctx: &Ctx, attachment: &Attachment, headers: &HeaderMap) -> Result<Response, Failure> {
    let tag = attachment.uuid.to_string();
    let file = Download { name: &attachment.name, mime: &attachment.mime, size: attachment.size, tag: &tag };
    let open = |range| ctx.chat().read_attachment(attachment, range);
    Ok(download::respond(headers, &file, open).await?)
}

async fn small(ctx: &Ctx, attachment: &Attachment) -> Result<Response, Failure> {
    let bytes: Bytes = ctx.chat().read_thumbnail(attachment).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(THUMBNAIL_TYPE)),
        (header::CACHE_CONTROL, HeaderValue::from_static("private")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, bytes).into_response())
}

/// What is attached to a message, as an array, and the uploads among it: they are shown as they are stored,
/// whatever the client says of them. What names no upload, and does not pretend to, passes as it is.
pub async fn take_uploads(ctx: &Ctx, access: &Access, attached: &[Value]) -> Result<(Json, Vec<Uuid>)> {
    let (mut shown, mut uploads, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for (at, entry) in attached.iter().enumerate() {
        match find(ctx, access, entry).await? {
            Found::Upload(attachment) => {
                shown.push(json::bytes(&AttachmentResource::from(&attachment)));
                uploads.push(attachment.uuid);
            }
            Found::Other => shown.push(json::bytes(entry)),
            Found::Nothing => {
                wrong.push(FieldError { field: format!("attachments.{at}").into(), rule: Rule::Exists });
            }
        }
    }
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    let array = String::from_utf8_lossy(&shown.join(&b',')).into_owned();
    Ok((Json(format!("[{array}]")), uploads))
}

/// What an entry among the attachments is.
enum Found {
    /// A file that the caller uploaded.
    Upload(Attachment),
    /// Something of the client's own, kept elsewhere.
    Other,
    /// It names an upload that is not there, or is not the caller's.
    Nothing,
}

async fn find(ctx: &Ctx, access: &Access, entry: &Value) -> Result<Found> {
    let Some(uuid) = entry["id"].as_str().and_then(|id| Uuid::try_parse(id).ok()) else { return Ok(Found::Other) };
    match ctx.chat().attachment(access.user.id, uuid).await {
        Ok(attachment) if attachment.user_id == access.user.id => Ok(Found::Upload(attachment)),
        Err(Error::NotFound(_)) if entry["url"].as_str().is_some_and(|url| !url.starts_with(ATTACHMENTS)) => {
            Ok(Found::Other)
        }
        Ok(_) | Err(Error::NotFound(_)) => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}
