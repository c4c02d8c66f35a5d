//! Sign-up, sign-in, sign-out, and the account itself.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Answered;
use super::context::{Ctx, Input};
use super::described::{AccountFields, Credentials};
use super::envelope::{Failed, Failure};
use super::session;
use super::wire::{OneUser, SignedIn, signed_in};
use crate::chat::{AccountEdit, Registration};
use crate::domain::{Email, User};
use crate::error::{Error, Kind, Rule};
use crate::http::json;
use crate::http::values::Values;

const EMAIL: std::ops::RangeInclusive<usize> = 5..=256;
const PASSWORD: std::ops::RangeInclusive<usize> = 8..=256;
/// What is said of input that is wrong.
const CREDENTIALS: &str = "Bad Request. Invalid body(email, password).";
const CHANGES: &str = "Bad Request. Invalid body(?email, ?password).";

/// Sign up
///
/// Makes an account and signs it in.
#[utoipa::path(post, path = "/api/auth/sign-up", operation_id = "neptun_sign_up", tag = "neptun",
    request_body(content((Credentials = "application/json"), (Credentials = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "The account; the cookie neptun-session is set", body = SignedIn<'static>),
        (status = 403, description = "Somebody is signed in already, or a page on another site asked for it"),
        (status = 409, description = "The address has an account", body = Failed),
    ))]
pub async fn sign_up(ctx: Ctx, input: Input) -> Answered {
    let (email, password) = credentials(&ctx, input).await?;
    let name = email.as_str().split('@').next().unwrap_or_default().to_owned();
    let new = Registration { platform_id: None, email, name, password, phone: None, language: None };
    let user = ctx.chat().sign_up(new).await?;
    opened(&ctx, &user).await
}

/// Sign in
#[utoipa::path(post, path = "/api/auth/login", operation_id = "neptun_login", tag = "neptun",
    request_body(content((Credentials = "application/json"), (Credentials = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "The account; the cookie neptun-session is set", body = SignedIn<'static>),
        (status = 401, description = "The address or the password is wrong"),
        (status = 403, description = "Somebody is signed in already, the account is switched off or its address not \
            proved, or a page on another site asked for it"),
    ))]
pub async fn login(ctx: Ctx, input: Input) -> Answered {
    let (email, password) = credentials(&ctx, input).await?;
    let user = ctx.chat().check_sign_in(None, &email, password, ctx.address()).await?;
    opened(&ctx, &user).await
}

async fn credentials(ctx: &Ctx, input: Input) -> Result<(Email, String), Failure> {
    if ctx.maybe_caller().is_some() {
        return Err(Failure::SignedIn);
    }
    ctx.must_be_from_here()?;
    let mut values = ctx.values(input).await?;
    let email = values.email("email", EMAIL);
    let password = password(&mut values, "password");
    let confirmed = values.nullable_string("confirmPassword", 0..=*PASSWORD.end());
    if password.is_some() && confirmed.is_some() && confirmed != password {
        values.wrong("confirmPassword", Rule::Confirmed);
    }
    values.finish().map_err(|error| Failure::Input(CREDENTIALS, error))?;
    email.zip(password).ok_or_else(|| Error::field("email", Rule::Required).into())
}

/// A password as the dialect wants it.
pub fn password(values: &mut Values, field: &str) -> Option<String> {
    let password = values.string(field, PASSWORD)?;
    if is_mixed(&password) {
        return Some(password);
    }
    values.wrong(field, Rule::Mixed);
    None
}

fn is_mixed(password: &str) -> bool {
    let has = |is: fn(char) -> bool| password.chars().any(is);
    has(char::is_lowercase) && has(char::is_uppercase) && has(|c| c.is_ascii_digit()) && has(|c| !c.is_alphanumeric())
}

async fn opened(ctx: &Ctx, user: &User) -> Answered {
    let sealed = ctx.chat().open_session(user).await?;
    let mut response = json::response(json::bytes(&signed_in(user, ctx.chat().now())));
    session::keep(&mut response, &sealed, ctx.door().sign_in_lifetime, ctx.is_secure());
    Ok(response)
}

/// Sign out
///
/// Ends the session; `true` when there was one.
#[utoipa::path(post, path = "/api/auth/logout", operation_id = "neptun_logout", tag = "neptun",
    responses(
        (status = 200, description = "Whether there was a session to end", body = bool, content_type = "application/json"),
        (status = 403, description = "A page on another site asked for it"),
    ))]
pub async fn logout(ctx: Ctx) -> Answered {
    let closed = match session::sent(ctx.headers()) {
        Some(sealed) => ctx.chat().close_session(sealed).await?,
        None => false,
    };
    let mut response = json::response(json::bytes(&closed));
    // A form on a page elsewhere comes without the cookie, and must not make the browser forget it.
    if session::sent(ctx.headers()).is_some() {
        session::forget(&mut response, ctx.is_secure());
    }
    Ok(response)
}

/// See whether the session is good
#[utoipa::path(head, path = "/api/auth/check", operation_id = "neptun_check", tag = "neptun",
    responses(
        (status = 204, description = "It is"),
        (status = 401, description = "It is not, or there is none"),
        (status = 403, description = "It is, and the account may not chat with the assistant"),
        (status = 429, description = "Too many requests; see Retry-After"),
        (status = 503, description = "The server is busy or going down"),
    ),
    security(("neptun-session" = [])))]
pub async fn check(ctx: Ctx) -> Answered {
    ctx.caller()?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// See whether the session is good, with an answer that has a body
#[utoipa::path(get, path = "/api/auth/check", operation_id = "neptun_check_with_body", tag = "neptun",
    responses((status = 200, description = "It is: an empty object", body = Object)),
    security(("neptun-session" = [])))]
pub async fn check_again(ctx: Ctx) -> Answered {
    ctx.caller()?;
    Ok(json::response(b"{}".to_vec()))
}

/// Change the account
///
/// A new password ends all other sessions.
#[utoipa::path(patch, path = "/api/users/{user_id}", operation_id = "neptun_edit_user", tag = "neptun",
    request_body(content((AccountFields = "application/json"), (AccountFields = "application/x-www-form-urlencoded"))),
    params(("user_id" = u64, Path, description = "The caller's own number")),
    responses(
        (status = 200, description = "The account as it now stands", body = OneUser<'static>),
        (status = 409, description = "The address has an account", body = Failed),
    ),
    security(("neptun-session" = [])))]
pub async fn edit(ctx: Ctx, input: Input) -> Answered {
    let access = ctx.owner()?;
    let mut values = ctx.values(input).await?;
    let email = if values.has("email") { values.email("email", EMAIL) } else { None };
    let password = if values.has("password") { password(&mut values, "password") } else { None };
    values.finish().map_err(|error| Failure::Input(CHANGES, error))?;
    if email.is_none() && password.is_none() {
        return Err(Failure::Input(
            CHANGES,
            Error::field("email", Rule::Type { want: Kind::String, got: Kind::Undefined }),
        ));
    }
    let edit = AccountEdit { email, password, ..AccountEdit::default() };
    let user = ctx.chat().edit_account(access, edit).await?;
    Ok(json::response(json::bytes(&OneUser { user: (&user).into() })))
}

/// Delete the account
///
/// With its chats, their files and their shares. The session ends.
#[utoipa::path(delete, path = "/api/users/{user_id}", operation_id = "neptun_delete_user", tag = "neptun",
    params(("user_id" = u64, Path, description = "The caller's own number")),
    responses(
        (status = 200, description = "It is gone", body = bool, content_type = "application/json"),
        (status = 400, description = "The number is none"),
    ),
    security(("neptun-session" = [])))]
pub async fn remove(ctx: Ctx) -> Answered {
    ctx.chat().delete_account(ctx.owner()?).await?;
    let mut response = done();
    session::forget(&mut response, ctx.is_secure());
    Ok(response)
}

/// What a command line needs to know
///
/// It holds the session, for a program that has no cookies of its own.
#[utoipa::path(get, path = "/api/users/{user_id}/cli", operation_id = "neptun_cli", tag = "neptun",
    params(("user_id" = u64, Path, description = "The caller's own number")),
    responses(
        (status = 200, description = "The configuration", body = Object),
        (status = 400, description = "The number is none"),
    ),
    security(("neptun-session" = [])))]
pub async fn configure(ctx: Ctx) -> Answered {
    let access = ctx.owner()?;
    let name = format!("chat-{}", ctx.chat().now().0 / 1000);
    let configuration = json!({
        "utils": {"neptun_api_server_host": format!("{}/api", ctx.origin()), "neptun_github_app_url": ""},
        "auth": {
            "neptun_session_cookie": ctx.caller()?.sealed,
            "user": {"id": access.user.id.0, "email": access.user.email.as_str(), "oauth": null},
        },
        "active_chat": {"chat_id": -1, "chat_name": name, "model": ctx.door().models.first()},
    });
    let mut response = json::response(json::bytes(&configuration));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `true`.
pub fn done() -> Response {
    json::response(b"true".to_vec())
}
