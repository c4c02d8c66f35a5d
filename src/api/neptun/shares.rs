//! A chat's share: the link by which its owner shows it, and who may follow it.

use axum::response::Response;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Answered;
use super::context::{Ctx, Input};
use super::described::{Admitted, OfChat, ShareFields};
use super::envelope::Failure;
use super::wire_shares::{OneShare, ShareLink, Whitelist};
use crate::domain::{ConversationId, Email, ShareId};
use crate::error::Rule;
use crate::http::body::Sent;
use crate::http::json;
use crate::http::values::Values;

/// What is said of input that is wrong.
const INVALID: &str = "Bad Request. Invalid body({ is_shared?(true), is_protected?(false), hashed_password?(null) }).";
const EMAILS: &str = "Bad Request. Invalid body(emails).";

const PASSWORD_CHARS_MAX: usize = 256;

/// Read a chat's link
///
/// `null` when there is none.
#[utoipa::path(get, path = "/api/users/{user_id}/chats/{chat_id}/shares", operation_id = "neptun_read_share",
    tag = "neptun",
    params(OfChat),
    responses(
        (status = 200, description = "What the link holds", body = Option<ShareLink>),
        (status = 400, description = "A number in the path is none"),
    ),
    security(("neptun-session" = [])))]
pub async fn read(ctx: Ctx) -> Answered {
    let (access, id) = ctx.owner_of_chat()?;
    let share = ctx.chat().share_of(access, id).await?;
    Ok(json::response(json::bytes(&share.map(|share| ShareLink { uuid: share.uuid }))))
}

/// Share a chat
///
/// A chat has one share: the second time the answer is `{"share": null}`.
#[utoipa::path(post, path = "/api/users/{user_id}/chats/{chat_id}/shares", operation_id = "neptun_create_share",
    tag = "neptun",
    request_body(content((ShareFields = "application/json"), (ShareFields = "application/x-www-form-urlencoded"))),
    params(OfChat),
    responses((status = 200, description = "The share", body = OneShare)),
    security(("neptun-session" = [])))]
pub async fn create(ctx: Ctx, input: Input) -> Answered {
    let (access, id) = ctx.owner_of_chat()?;
    let mut values = ctx.values(input).await?;
    let is_shared = values.boolean_or("is_shared", true);
    let is_protected = values.boolean_or("is_protected", false);
    // A share that wants a password has to have one: without it, it would open to nobody.
    let password = if is_protected {
        values.string("hashed_password", 1..=PASSWORD_CHARS_MAX)
    } else {
        values.nullable_string("hashed_password", 0..=PASSWORD_CHARS_MAX).filter(|password| !password.is_empty())
    };
    values.finish().map_err(|error| Failure::Input(INVALID, error))?;
    let share = ctx.chat().share_chat(access, id, is_shared, is_protected, password).await?;
    Ok(json::response(json::bytes(&OneShare { share: share.as_ref().map(Into::into) })))
}

/// Say who may open a share
///
/// From then on only they and the owner can. Addresses that nobody has are passed over.
#[utoipa::path(post, path = "/api/users/{user_id}/chats/{chat_id}/shares/{share_id}/whitelist-entries",
    operation_id = "neptun_add_whitelist_entries", tag = "neptun",
    request_body(content((Admitted = "application/json"), (Admitted = "application/x-www-form-urlencoded"))),
    params(
        OfChat,
        ("share_id" = String, Path, description = "The share: its number, or what its link holds"),
    ),
    responses((status = 200, description = "Who may, of those who were named, and the owner", body = Whitelist)),
    security(("neptun-session" = [])))]
pub async fn admit(ctx: Ctx, input: Input) -> Answered {
    match Uuid::try_parse(ctx.segment("share_id")) {
        Ok(uuid) => {
            let (access, id) = ctx.owner_of_chat()?;
            let share = ctx.chat().share_of(access, id).await?.filter(|share| share.uuid == uuid);
            admit_to(&ctx, id, share.map_or(ShareId(0), |share| share.id), input).await
        }
        Err(_) => {
            let (_, [chat, share]) = ctx.owner_with(["chat_id", "share_id"])?;
            admit_to(&ctx, ConversationId(chat), ShareId(share), input).await
        }
    }
}

async fn admit_to(ctx: &Ctx, id: ConversationId, share: ShareId, input: Input) -> Result<Response, Failure> {
    let access = ctx.owner()?;
    let (mut values, field) = named(ctx.sent(input).await?);
    let items = values.list(field, 1..=ctx.door().batch_max).unwrap_or_default();
    let emails = values.strings(field, &items, |text| Email::parse(text).ok_or(Rule::Email));
    values.finish().map_err(|error| Failure::Input(EMAILS, error))?;
    let entries = ctx.chat().list_in_share(access, id, share, &emails).await?;
    let share_whitelist_entries = entries.iter().map(Into::into).collect();
    Ok(json::response(json::bytes(&Whitelist { share_whitelist_entries })))
}

/// A bare list is read as an object's only member, which has no name.
fn named(sent: Sent) -> (Values, &'static str) {
    let Sent { value, is_form } = sent;
    match value {
        list @ Value::Array(_) => {
            let members = Map::from_iter([(String::new(), list)]);
            (Sent { value: members.into(), is_form }.into(), "")
        }
        value => (Sent { value, is_form }.into(), "emails"),
    }
}
