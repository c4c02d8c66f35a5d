//! Accounts, as far as the staff side needs them.

use axum::http::StatusCode;
use axum::response::IntoResponse;

use super::context::{Ctx, Input};
use super::envelope::{Failure, Success};
use super::wire::{Login, Register, Registered, SignedIn, UserResource, VerifyOtp};
use super::{Answered, LANGUAGES};
use crate::chat::Registration;
use crate::domain::{Email, Language};
use crate::error::{Error, Rule};
use crate::http::fields::Fields;

const PASSWORD_CHARS_MIN: usize = 8;
const PASSWORD_CHARS_MAX: usize = 255;

/// Register
///
/// Makes an account and mails a six-digit code to its address; `verify-otp` with the code makes it
/// usable.
#[utoipa::path(post, path = "/api/v1/auth/register", operation_id = "accounts_register",
    tag = "accounts", request_body = Register,
    responses((status = 201, description = "The account, without a token", body = Success<Registered>)))]
pub async fn register(ctx: Ctx, input: Input) -> Answered {
    ctx.run(async {
        ctx.count_auth().await?;
        let registration = registration(input.fields().await?)?;
        let user = ctx.chat().register(registration).await?;
        Ok(ctx.success(StatusCode::CREATED, "registered", Registered { user: (&user).into() }))
    })
    .await
}

fn registration(mut fields: Fields) -> Result<Registration, Failure> {
    const CHOICES: &[&str] = &["en", "vi", "ja", "zh"];
    let name = fields.required_line("name", 255);
    let email = required_email(&mut fields);
    let password = password(&mut fields);
    let confirmation = raw_string(&mut fields, "password_confirmation");
    if password.is_some() && confirmation != password {
        fields.wrong("password", Rule::Confirmed);
    }
    let phone = fields.optional_line("phone", 20);
    let asked = fields.optional("language_preference", 35);
    let language = asked.as_deref().and_then(Language::parse).filter(|language| LANGUAGES.contains(language));
    if let (Some(got), None) = (asked, language) {
        fields.wrong("language_preference", Rule::OneOf { got, choices: CHOICES });
    }
    fields.finish()?;
    let missing = || Error::field("email", Rule::Required);
    let (email, password) = email.zip(password).ok_or_else(missing)?;
    Ok(Registration { platform_id: None, email, name, password, phone, language })
}

fn required_email(fields: &mut Fields) -> Option<Email> {
    let raw = fields.required("email", Email::CHARS_MAX);
    let email = Email::parse(&raw);
    if email.is_none() && !raw.is_empty() {
        fields.wrong("email", Rule::Email);
    }
    email
}

/// A password is taken as typed, spaces and all.
fn password(fields: &mut Fields) -> Option<String> {
    let is_there = !fields.is_missing("password");
    match raw_string(fields, "password") {
        Some(password) => {
            let chars = password.chars().count();
            if chars < PASSWORD_CHARS_MIN {
                fields.wrong("password", Rule::CharsMin(PASSWORD_CHARS_MIN));
            } else if chars > PASSWORD_CHARS_MAX {
                fields.wrong("password", Rule::CharsMax(PASSWORD_CHARS_MAX));
            }
            Some(password)
        }
        None => {
            fields.wrong("password", if is_there { Rule::String } else { Rule::Required });
            None
        }
    }
}

fn raw_string(fields: &mut Fields, field: &str) -> Option<String> {
    match fields.value(field) {
        Some(serde_json::Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Prove an address
///
/// With the code that was mailed to it. A code is good for ten minutes and five tries,
/// unless the operator has chosen otherwise.
#[utoipa::path(post, path = "/api/v1/auth/verify-otp", operation_id = "accounts_verify_code",
    tag = "accounts", request_body = VerifyOtp,
    responses((status = 200, description = "The account, which can sign in now", body = Success<Registered>)))]
pub async fn verify(ctx: Ctx, input: Input) -> Answered {
    ctx.run(async {
        ctx.count_auth().await?;
        let mut fields = input.fields().await?;
        let email = required_email(&mut fields);
        let code = fields.required("otp", 16);
        fields.finish()?;
        let email = email.ok_or_else(|| Error::field("email", Rule::Required))?;
        let user = ctx.chat().verify(None, &email, &code).await?;
        Ok(ctx.ok("verified", Registered { user: (&user).into() }))
    })
    .await
}

/// Sign in
///
/// Returns a bearer token. A wrong password and an unknown address read the same.
#[utoipa::path(post, path = "/api/v1/auth/login", operation_id = "accounts_sign_in",
    tag = "accounts", request_body = Login,
    responses(
        (status = 200, description = "The token", body = Success<SignedIn>),
        (status = 401, description = "The address or the password is wrong"),
        (status = 403, description = "The account is not active, or its address is not verified"),
    ))]
pub async fn login(ctx: Ctx, input: Input) -> Answered {
    ctx.run(async {
        ctx.count_auth().await?;
        let mut fields = input.fields().await?;
        let email = required_email(&mut fields);
        let password = password(&mut fields);
        let device = fields.optional_line("device_name", 255).unwrap_or_else(|| "default".to_owned());
        fields.finish()?;
        let (email, password) = email.zip(password).ok_or(Failure::BadLogin)?;
        let made =
            ctx.chat().sign_in(None, &email, password, device, ctx.address()).await.map_err(|error| match error {
                Error::Unauthenticated => Failure::BadLogin,
                other => other.into(),
            })?;
        let answer = SignedIn { user: (&made.user).into(), token: made.token, token_type: "Bearer" };
        Ok(ctx.ok("signed-in", answer))
    })
    .await
}

/// Who am I
#[utoipa::path(get, path = "/api/v1/auth/me", operation_id = "accounts_who_am_i",
    tag = "accounts", security(("bearer" = [])),
    responses((status = 200, description = "The account", body = Success<UserResource>)))]
pub async fn me(ctx: Ctx) -> Answered {
    ctx.run(async {
        let access = ctx.access().await?;
        Ok(ctx.ok("account-retrieved", UserResource::from(&access.user)))
    })
    .await
}

/// Sign out
///
/// Revokes the token that the request came with.
#[utoipa::path(post, path = "/api/v1/auth/logout", operation_id = "accounts_sign_out",
    tag = "accounts", security(("bearer" = [])),
    responses((status = 204, description = "Signed out")))]
pub async fn logout(ctx: Ctx) -> Answered {
    sign_out(&ctx, false).await
}

/// Sign out everywhere
///
/// Revokes all of the account's tokens.
#[utoipa::path(post, path = "/api/v1/auth/logout-all", operation_id = "accounts_sign_out_everywhere",
    tag = "accounts", security(("bearer" = [])),
    responses((status = 204, description = "Signed out everywhere")))]
pub async fn logout_all(ctx: Ctx) -> Answered {
    sign_out(&ctx, true).await
}

async fn sign_out(ctx: &Ctx, everywhere: bool) -> Answered {
    ctx.run(async {
        let access = ctx.access().await?;
        ctx.chat().sign_out(&access, everywhere).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}
