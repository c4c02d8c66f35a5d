//! What a provider's refusals mean. Of what it says, only its own words for kinds of errors reach the operator: its
//! sentences may hold what was asked, or a part of the key.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use super::sse_decode::Violation;
use super::{Failure, FailureKind};

impl Failure {
    /// A failure with a sentence for the operator.
    pub fn new(kind: FailureKind, cause: impl Into<String>) -> Self {
        Self { kind, cause: cause.into().into() }
    }

    /// An answer that is none.
    pub(super) fn broken(cause: impl Into<String>) -> Self {
        Self::new(FailureKind::Broken, cause)
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::broken(match violation {
            Violation::TooLarge => "the provider sent an event larger than assistant.event_bytes_max",
            Violation::NotUtf8 => "the provider sent what is no UTF-8",
        })
    }
}

/// An error in JSON, as OpenAI and Anthropic word it, and those who do as they do.
#[derive(Deserialize)]
struct Said {
    error: Words,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    Object {
        #[serde(default, rename = "type")]
        kind: Option<serde_json::Value>,
        #[serde(default)]
        code: Option<serde_json::Value>,
    },
    Other(serde::de::IgnoredAny),
}

/// The words for its kind in an error's JSON: its type and its code.
fn words(body: &[u8]) -> Option<String> {
    let said: Said = serde_json::from_slice(body).ok()?;
    let Words::Object { kind, code } = said.error else { return None };
    let words: Vec<_> = [kind, code].into_iter().flatten().filter_map(|value| word(&value)).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// A word that can hold nothing but a kind.
fn word(value: &serde_json::Value) -> Option<String> {
    let word = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (word != "null" && (1..=64).contains(&word.len()) && word.bytes().all(is_word)).then_some(word)
}

/// What an answer means that is no success.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let words = words(body);
    let more = words.as_ref().map_or_else(String::new, |words| format!(" ({words})"));
    let is_spent = words.as_ref().is_some_and(|words| words.contains("insufficient_quota"));
    let kind = match status.as_u16() {
        // Nothing is left to spend there: no waiting helps.
        429 if is_spent => FailureKind::Unauthorized,
        401..=403 => FailureKind::Unauthorized,
        429 => FailureKind::RateLimited(retry_after(headers)),
        500.. => retry_after(headers).map_or(FailureKind::Unavailable, |wait| FailureKind::RateLimited(Some(wait))),
        408 | 409 | 425 => FailureKind::Unavailable,
        _ => FailureKind::Rejected,
    };
    let redirected = if status.is_redirection() { "; redirects are not followed" } else { "" };
    Failure::new(kind, format!("the provider answered {}{more}{redirected}", status.as_u16()))
}

/// What an error means that comes in the stream of an answer.
pub(super) fn in_stream(data: &str) -> Failure {
    let words = words(data.as_bytes()).unwrap_or_default();
    let says = |kinds: &[&str]| kinds.iter().any(|kind| words.contains(kind));
    let kind = if says(&["rate_limit", "429"]) {
        FailureKind::RateLimited(None)
    } else if says(&["authentication", "permission", "billing", "insufficient_quota", "401", "403"]) {
        FailureKind::Unauthorized
    } else if says(&["invalid_request", "400"]) {
        FailureKind::Rejected
    } else {
        FailureKind::Unavailable
    };
    let more = if words.is_empty() { words } else { format!(" ({words})") };
    Failure::new(kind, format!("the provider broke its answer off with an error{more}"))
}

/// How long it asks to be left alone: OpenAI's milliseconds, else the seconds of RFC 9110, 10.2.3. The other form
/// there, a date, is left out: it trusts two clocks.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|millis| millis / 1000.0).or_else(|| number(RETRY_AFTER.as_str()))?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, headers: &[(&'static str, &str)], body: &str) -> Failure {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| drop(map.insert(*name, value.parse().unwrap())));
        refusal(StatusCode::from_u16(status).unwrap(), &map, body.as_bytes())
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let kind = |status, headers: &[(&'static str, &str)]| refused(status, headers, "").kind;
        let after = |seconds| FailureKind::RateLimited(Some(Duration::from_millis(seconds)));
        assert_eq!(kind(429, &[("retry-after", "7")]), after(7000));
        assert_eq!(kind(429, &[("retry-after", "7"), ("retry-after-ms", "350")]), after(350));
        assert_eq!(kind(503, &[("retry-after", "1")]), after(1000));
        for wrong in ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "inf", "1e99", ""] {
            assert_eq!(kind(429, &[("retry-after", wrong)]), FailureKind::RateLimited(None), "{wrong}");
        }
        assert_eq!(kind(529, &[]), FailureKind::Unavailable);
        assert_eq!((kind(400, &[]), kind(302, &[])), (FailureKind::Rejected, FailureKind::Rejected));
        let spent = r#"{"error":{"message":"You exceeded","type":"insufficient_quota","code":"insufficient_quota"}}"#;
        assert_eq!(refused(429, &[("retry-after", "7")], spent).kind, FailureKind::Unauthorized);
    }

    #[test]
    fn only_words_for_kinds_are_repeated() {
        let body =
            r#"{"error":{"message":"Incorrect key sk-secret","type":"invalid_request_error","code":"sk secret"}}"#;
        assert_eq!(refused(401, &[], body).to_string(), "the provider answered 401 (invalid_request_error)");
        assert_eq!(refused(500, &[], "<html>secret</html>").to_string(), "the provider answered 500");
        assert_eq!(refused(500, &[], r#"{"error":"secret"}"#).to_string(), "the provider answered 500");
        assert!(!in_stream(r#"{"error":{"message":"secret","code":503}}"#).to_string().contains("secret"));
    }

    #[test]
    fn an_error_in_the_stream_has_its_kind() {
        let kind = |data: &str| in_stream(data).kind;
        assert_eq!(kind(r#"{"type":"error","error":{"type":"overloaded_error"}}"#), FailureKind::Unavailable);
        assert_eq!(kind(r#"{"error":{"type":"rate_limit_error"}}"#), FailureKind::RateLimited(None));
        assert_eq!(kind(r#"{"error":{"code":400}}"#), FailureKind::Rejected);
        assert_eq!(kind(r#"{"error":"broken"}"#), FailureKind::Unavailable);
    }
}
