//! One-time codes: back in without the password. Every outcome is a sentence with 200.

use axum::http::header;
use axum::response::Response;

use super::Answered;
use super::accounts::password;
use super::context::{Ctx, Input};
use super::described::{OtpFields, ResetFields};
use super::wire::CodeOutcome;
use crate::domain::Email;
use crate::error::Error;
use crate::http::values::Values;
use crate::http::{headers, json};

/// Digits of a code.
const DIGITS: usize = 5;
/// Longest field that is looked at, in characters.
const CHARS_MAX: usize = 256;

const SENT: &str = "Successfully sent OTP.";
const NO_ADDRESS: &str = "Invalid email.";
const WRONG: &str = "Invalid or expired OTP.";
const WEAK: &str = "Invalid password: 8 to 256 characters, with lower-case and upper-case letters, digits and special \
                    characters.";

/// Get a code by mail, or set a new password with one
///
/// The same is said whether the address has an account or not. A new password ends all sessions.
#[utoipa::path(post, path = "/auth/otp", operation_id = "neptun_otp", tag = "neptun",
    request_body(content((OtpFields = "application/json"), (OtpFields = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "What came of it", body = CodeOutcome),
        (status = 403, description = "A page on another site asked for it"),
    ))]
pub async fn otp(ctx: Ctx, input: Input) -> Answered {
    let mut values = ctx.values(input).await?;
    let action = word(&mut values, "action");
    let email = Email::parse(&word(&mut values, "email"));
    Ok(match (action.as_str(), email) {
        ("create", Some(email)) => sent(ctx.chat().send_code(None, &email, DIGITS).await),
        ("validate", Some(email)) => tried(&ctx, &email, &mut values).await,
        ("create" | "validate", None) => outcome(false, NO_ADDRESS),
        _ => outcome(false, "Invalid action."),
    })
}

/// Set a new password with a code
#[utoipa::path(post, path = "/{email}/reset-password", operation_id = "neptun_reset_password", tag = "neptun",
    request_body(content((ResetFields = "application/json"), (ResetFields = "application/x-www-form-urlencoded"))),
    params(("email" = String, Path, description = "The account's address", example = "lan@example.com")),
    responses(
        (status = 200, description = "What came of it", body = CodeOutcome),
        (status = 403, description = "A page on another site asked for it"),
    ))]
pub async fn reset(ctx: Ctx, input: Input) -> Answered {
    let mut values = ctx.values(input).await?;
    Ok(match Email::parse(ctx.segment("email")) {
        Some(email) => tried(&ctx, &email, &mut values).await,
        None => outcome(false, NO_ADDRESS),
    })
}

/// A field as text; what is none is wrong in whatever it is used for.
fn word(values: &mut Values, field: &str) -> String {
    values.string(field, 0..=CHARS_MAX).unwrap_or_default()
}

async fn tried(ctx: &Ctx, email: &Email, values: &mut Values) -> Response {
    let code = word(values, "otp");
    let Some(password) = password(values, "new_password") else { return outcome(false, WEAK) };
    // One digit more has the code that proves an address, which signing in mails to who has not done it:
    // while it is good there is no other. What has another length is no try.
    if !(DIGITS..=DIGITS + 1).contains(&code.len()) {
        return outcome(false, WRONG);
    }
    match ctx.chat().reset_password(None, email, &code, password, ctx.address()).await {
        Ok(true) => outcome(true, "Successfully validated OTP and reset password."),
        Ok(false) => outcome(false, WRONG),
        Err(error) => refused(&error),
    }
}

fn sent(outcome_of_sending: Result<(), Error>) -> Response {
    match outcome_of_sending {
        Ok(()) => outcome(true, SENT),
        Err(error) => refused(&error),
    }
}

fn refused(error: &Error) -> Response {
    if let Error::TooMany(after) = error {
        let mut response =
            outcome(false, &format!("Too many attempts. Try again in {} second(s).", headers::seconds(*after)));
        response.headers_mut().insert(header::RETRY_AFTER, headers::retry_after(*after));
        return response;
    }
    match error {
        Error::Internal(cause) => tracing::error!(cause = %cause, "internal error"),
        other => tracing::warn!(error = %other, "a code could not be handled"),
    }
    outcome(false, "This does not work at the moment. Please try again later.")
}

fn outcome(success: bool, message: &str) -> Response {
    json::response(json::bytes(&CodeOutcome { success, message: message.to_owned() }))
}
