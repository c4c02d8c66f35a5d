//! Users: their own account, and what staff make of them.

use axum::http::StatusCode;
use uuid::Uuid;

use super::context::{Caller, Ctx, Input, Segment};
use super::envelope::{Failure, Told};
use super::requests::{EditUser, SetRole};
use super::users_wire::{Account, MembershipResource};
use super::{Answered, LANGUAGES, accounts};
use crate::chat::AccountEdit;
use crate::domain::{Language, MembershipStatus};
use crate::error::{Error, Refusal, Rule, Subject};
use crate::http::fields::Fields;

const NAME_CHARS_MAX: usize = 255;
const AVATAR_CHARS_MAX: usize = 2048;
const PHONE_CHARS_MAX: usize = 20;
const LANGUAGE_CHARS_MAX: usize = 35;
/// The languages that an account can ask for.
const CHOICES: &[&str] = &["en", "pt-BR", "es"];
/// How far a membership can have come.
const STATUSES: &[&str] = &["approved", "disapproved", "requested"];

/// Edit my account
///
/// Fields that are left out keep what they have.
#[utoipa::path(put, path = "/api/v1/pigeons/users/{user}", operation_id = "pigeons_edit_user",
    tag = "pigeons", security(("bearer" = [])), request_body = EditUser,
    params(("user" = String, Path, description = "The caller's own uuid")),
    responses(
        (status = 200, description = "The account as it is now", body = Told<Account>),
        (status = 403, description = "It is somebody else's account"),
        (status = 422, description = "The input is not valid; every field that is wrong is listed"),
    ))]
pub async fn edit(ctx: Ctx, Segment(name): Segment, input: Input) -> Answered {
    ctx.run(async {
        let Caller { access, platform } = ctx.caller().await?;
        let uuid = named(&name)?;
        if uuid != access.user.uuid {
            // Who is not on the platform must not be told from who is nowhere.
            let is_there = ctx.chat().user_by_uuid(&platform, uuid).await?.is_some();
            let refusal = Error::Forbidden(Refusal::NotTheirs);
            return Err(if is_there { refusal } else { Error::NotFound(Subject::User) }.into());
        }
        let edit = account_edit(input.fields().await?)?;
        let user = ctx.chat().edit_account(&access, edit).await?;
        let account = Account::new(&user, accounts::roles(&ctx, &user, &platform).await?);
        Ok(ctx.told(StatusCode::OK, "user-updated", account))
    })
    .await
}

fn named(name: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(name).map_err(|_| Error::NotFound(Subject::User))
}

fn account_edit(mut fields: Fields) -> Result<AccountEdit, Failure> {
    let has_name = fields.has("name");
    let name = if has_name { Some(fields.required_line("name", NAME_CHARS_MAX)) } else { None };
    let (has_avatar, has_phone, has_language) = (fields.has("avatar"), fields.has("phone"), fields.has("language"));
    let avatar = fields.optional_line("avatar", AVATAR_CHARS_MAX);
    if avatar.as_ref().is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
        fields.wrong("avatar", Rule::Valid);
    }
    let phone = fields.optional_line("phone", PHONE_CHARS_MAX);
    let language = language(&mut fields);
    fields.finish()?;
    Ok(AccountEdit {
        name,
        avatar: has_avatar.then_some(avatar),
        phone: has_phone.then_some(phone),
        language: has_language.then_some(language),
        ..AccountEdit::default()
    })
}

/// The language that a body asks for.
pub fn language(fields: &mut Fields) -> Option<Language> {
    let got = fields.optional("language", LANGUAGE_CHARS_MAX)?;
    let language = Language::parse(&got).filter(|language| LANGUAGES.contains(language));
    if language.is_none() {
        fields.wrong("language", Rule::OneOf { got, choices: CHOICES });
    }
    language
}

/// Set a user's role
///
/// Only staff of the platform may. The first time makes the membership.
#[utoipa::path(put, path = "/api/v1/pigeons/users/{user}/roles/{role}", operation_id = "pigeons_set_role",
    tag = "pigeons", security(("bearer" = [])), request_body = SetRole,
    params(
        ("user" = String, Path, description = "The user's uuid"),
        ("role" = String, Path, description = "The role: up to 64 letters, digits and -_.:"),
    ),
    responses(
        (status = 200, description = "The membership", body = Told<MembershipResource>),
        (status = 422, description = "The input is not valid; every field that is wrong is listed"),
    ))]
pub async fn set_role(ctx: Ctx, Segment((name, role)): Segment<(String, String)>, input: Input) -> Answered {
    ctx.run(async {
        let Caller { access, platform } = ctx.caller().await?;
        if !access.is_staff() {
            return Err(Error::Forbidden(Refusal::NotStaff).into());
        }
        let mut fields = input.fields().await?;
        let status = fields.needed("status", |fields, name| fields.choice(name, STATUSES));
        fields.finish()?;
        let status = status.and_then(MembershipStatus::parse).ok_or_else(|| Error::field("status", Rule::Required))?;
        let user = named(&name)?;
        let membership = ctx.chat().set_membership(&access, &platform, user, role, status).await?;
        Ok(ctx.told(StatusCode::OK, "role-updated", MembershipResource::new(&membership, user)))
    })
    .await
}
