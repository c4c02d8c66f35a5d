//! Signing in and out, and one's own account.

use axum::http::StatusCode;
use serde_json::Value;

use super::context::{Caller, Ctx, Input};
use super::envelope::{Done, Failure, Shown};
use super::requests::SignIn;
use super::users_wire::{Account, Permission, PlatformResource, Role, SignedIn, SignedInUser};
use super::{Answered, users};
use crate::chat::{BACKOFFICE, Registration};
use crate::domain::{Email, MembershipStatus, Platform, PlatformId, User};
use crate::error::{Error, Result, Rule};
use crate::http::fields::Fields;

const NAME_CHARS_MAX: usize = 255;
const PHONE_CHARS_MAX: usize = 20;
const PASSWORD_CHARS_MIN: usize = 8;
const PASSWORD_CHARS_MAX: usize = 255;
/// What a token is called by who does not say.
const DEVICE: &str = "default";

/// Sign in
///
/// With HTTP Basic: the account's address and password. A wrong password and an unknown address read the
/// same. `POST /api/v1/auth/register` (`device`, `name`, `email`, `password`, `password_confirmation`) and
/// `POST /api/v1/auth/logout` belong to this door for who sends `X-PUBLIC-KEY`.
#[utoipa::path(post, path = "/api/v1/auth", operation_id = "pigeons_sign_in", tag = "pigeons",
    request_body = SignIn,
    responses(
        (status = 200, description = "The token and whose it is", body = SignedIn),
        (status = 401, description = "The address or the password is wrong, or there is no key"),
        (status = 403, description = "There is no such platform, or the account may not sign in"),
        (status = 422, description = "The input is not valid; every field that is wrong is listed"),
    ))]
pub async fn sign_in(ctx: Ctx, input: Input) -> Answered {
    ctx.run(async {
        ctx.count_auth().await?;
        let platform = ctx.platform().await?;
        let (name, password) = ctx.basic().ok_or(Failure::BadLogin)?;
        let mut fields = input.fields().await?;
        let device = fields.optional_line("device", NAME_CHARS_MAX).unwrap_or_else(|| DEVICE.to_owned());
        let no_auth = fields.unless_blank("no_auth", Fields::boolean).unwrap_or(false);
        fields.finish()?;
        let email = Email::parse(&name).ok_or(Failure::BadLogin)?;
        let (chat, from) = (ctx.chat(), ctx.address());
        let signed_in = if no_auth {
            chat.check_sign_in(Some(&platform), &email, password, from).await.map(|user| (user, None))
        } else {
            let made = chat.sign_in(Some(&platform), &email, password, device, from).await;
            made.map(|made| (made.user, Some(made.token)))
        };
        let (user, token) = signed_in.map_err(|error| match error {
            Error::Unauthenticated => Failure::BadLogin,
            other => other.into(),
        })?;
        let data = SignedInUser { user: Account::new(&user, roles(&ctx, &user, &platform).await?) };
        let message = ctx.text("signed-in").to_owned();
        Ok(ctx.answer(StatusCode::OK, &SignedIn { message, token, data, recently_created: None }))
    })
    .await
}

/// What somebody is on their platform. Staff are in the back office without being named.
pub async fn roles(ctx: &Ctx, user: &User, platform: &Platform) -> Result<Vec<Role>> {
    let role = |id: i64, name: &str| {
        let is_backoffice = name == BACKOFFICE;
        let all = Permission { subject: BACKOFFICE, action: "all" };
        Role {
            id,
            platform: PlatformResource::from(platform),
            name: name.to_owned(),
            localized_name: if is_backoffice { ctx.text("role-backoffice") } else { name }.to_owned(),
            permissions: if is_backoffice { vec![all] } else { Vec::new() },
        }
    };
    let held = ctx.chat().memberships(user.id).await?;
    let held = held.iter().filter(|held| held.status == MembershipStatus::Approved);
    let mut roles: Vec<_> = held.map(|held| role(held.id, &held.role)).collect();
    if user.is_staff && roles.iter().all(|role| role.name != BACKOFFICE) {
        roles.insert(0, role(0, BACKOFFICE));
    }
    Ok(roles)
}

/// Makes an account on the platform and signs it in. Described in the other door's document, because the
/// path is one and the dialects are two.
pub async fn register(ctx: Ctx, input: Input) -> Answered {
    ctx.run(async {
        ctx.count_auth().await?;
        let platform = ctx.platform().await?;
        let mut fields = input.fields().await?;
        let (registration, device) = registration(&mut fields, platform.id).map_err(Failure::Registration)?;
        let user = ctx.chat().sign_up(registration).await.map_err(Failure::Registration)?;
        let abilities = user.abilities.clone();
        let made = ctx.chat().make_token(user, device, abilities, None).await?;
        let data = SignedInUser { user: Account::new(&made.user, roles(&ctx, &made.user, &platform).await?) };
        let message = ctx.text("registered").to_owned();
        let answer = SignedIn { message, token: Some(made.token), data, recently_created: Some(true) };
        Ok(ctx.answer(StatusCode::OK, &answer))
    })
    .await
}

fn registration(fields: &mut Fields, platform: PlatformId) -> Result<(Registration, String)> {
    let device = fields.required_line("device", NAME_CHARS_MAX);
    let name = fields.required_line("name", NAME_CHARS_MAX);
    let email = fields.needed("email", Fields::email);
    let password = fields.needed("password", password);
    let confirmation = fields.value("password_confirmation");
    if password.is_some() && confirmation != password.clone().map(Value::String) {
        fields.wrong("password", Rule::Confirmed);
    }
    let phone = fields.optional_line("phone", PHONE_CHARS_MAX);
    let language = users::language(fields);
    fields.check()?;
    let (email, password) = email.zip(password).ok_or_else(|| Error::field("email", Rule::Required))?;
    Ok((Registration { platform_id: Some(platform), email, name, password, phone, language }, device))
}

/// A password is taken as typed, spaces and all.
fn password(fields: &mut Fields, field: &'static str) -> Option<String> {
    let Value::String(password) = fields.value(field)? else {
        fields.wrong(field, Rule::String);
        return None;
    };
    match password.chars().count() {
        0 => return None,
        chars if chars < PASSWORD_CHARS_MIN => fields.wrong(field, Rule::CharsMin(PASSWORD_CHARS_MIN)),
        chars if chars > PASSWORD_CHARS_MAX => fields.wrong(field, Rule::CharsMax(PASSWORD_CHARS_MAX)),
        _ => {}
    }
    Some(password)
}

/// Whether a token is still good
#[utoipa::path(get, path = "/api/v1/auth/keep-alive", operation_id = "pigeons_keep_alive", tag = "pigeons",
    security(("bearer" = [])),
    responses((status = 200, description = "It is", body = Done)))]
pub async fn keep_alive(ctx: Ctx) -> Answered {
    ctx.run(async {
        ctx.member().await?;
        Ok(ctx.done("kept-alive"))
    })
    .await
}

/// Revokes the token that the request came with.
pub async fn sign_out(ctx: Ctx) -> Answered {
    ctx.run(async {
        let Caller { access, .. } = ctx.member().await?;
        ctx.chat().sign_out(&access, false).await?;
        Ok(ctx.done("signed-out"))
    })
    .await
}

/// Who am I
#[utoipa::path(get, path = "/api/v1/me/profile", operation_id = "pigeons_profile", tag = "pigeons",
    security(("bearer" = [])),
    responses((status = 200, description = "The caller's account", body = Shown<Account>)))]
pub async fn profile(ctx: Ctx) -> Answered {
    ctx.run(async {
        let Caller { access, platform } = ctx.member().await?;
        let roles = roles(&ctx, &access.user, &platform).await?;
        Ok(ctx.shown(Account::new(&access.user, roles)))
    })
    .await
}
