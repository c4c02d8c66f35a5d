//! The cookie that holds a session: sealed, for nobody to read but this server, and revocable here.

use std::fmt;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use crate::domain::Access;
use crate::http::headers;

/// The cookie's name.
pub const COOKIE: &str = "neptun-session";

/// A signed-in caller.
#[derive(Clone)]
pub struct Caller {
    /// As whom.
    pub access: Access,
    /// The cookie's value, as it came.
    pub sealed: String,
}

/// Without the cookie's value.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("access", &self.access).finish_non_exhaustive()
    }
}

/// What came as a session, whether it is one or not.
pub fn sent(headers: &HeaderMap) -> Option<&str> {
    headers::cookie(headers, COOKIE)
}

/// Gives the browser a session to keep.
pub fn keep(response: &mut Response, sealed: &str, lifetime: Duration, is_secure: bool) {
    set(response, sealed, lifetime.as_secs(), is_secure);
}

/// Makes the browser forget its session.
pub fn forget(response: &mut Response, is_secure: bool) {
    set(response, "", 0, is_secure);
}

/// `Lax`: links from elsewhere lead to a signed-in user's own chats, but a page elsewhere sends nothing
/// in their name. Without `Secure` where there is no TLS: a browser would not keep it.
fn set(response: &mut Response, value: &str, seconds: u64, is_secure: bool) {
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    // What is in it is for one browser.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
