//! Sending a stranger's file so that no browser runs it: as what its content is, never as a page, with
//! everything forbidden that a page could do; whole or in part.

use std::future::Future;
use std::ops::Range;

use axum::BoxError;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream::Stream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A file to be sent. It must never change under its tag.
#[derive(Clone, Debug)]
pub struct Download<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Its media type, found in its content.
    pub mime: &'a str,
    /// Its size, in bytes.
    pub size: u64,
    /// What its content is known by: visible ASCII without quotes.
    pub tag: &'a str,
}

/// What a request wants of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    /// The client has it.
    Nothing,
    /// A part that lies outside.
    Outside,
}

/// Images that browsers show as such, and that can hold nothing that runs.
const SHOWN_IMAGES: &[&str] = &["image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "image/bmp"];

/// RFC 8187, section 3.2.1: what stands for itself in a `filename*`.
const NOT_IN_NAMES: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Answers a request for a file: 200, 206 for one range, 304, or 416. `open` is asked for the bytes of
/// the range, or of the whole, when any are to be sent.
///
/// # Errors
/// What `open` answers.
pub async fn respond<S, E, C, F>(
    headers: &HeaderMap,
    file: &Download<'_>,
    open: impl FnOnce(Option<Range<u64>>) -> F,
) -> Result<Response, E>
where
    F: Future<Output = Result<S, E>>,
    S: Stream<Item = Result<Bytes, C>> + Send + 'static,
    C: Into<BoxError> + 'static,
{
    let (status, range) = match wanted(headers, file) {
        Wanted::Whole => (StatusCode::OK, None),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, Some(range)),
        Wanted::Nothing => return Ok(empty(StatusCode::NOT_MODIFIED, file)),
        Wanted::Outside => {
            let mut response = empty(StatusCode::RANGE_NOT_SATISFIABLE, file);
            response.headers_mut().insert(header::CONTENT_RANGE, text(&format!("bytes */{}", file.size)));
            return Ok(response);
        }
    };
    let mut response = Response::new(Body::from_stream(open(range.clone()).await?));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    caching(headers, file);
    content(headers, file);
    let len = range.as_ref().map_or(file.size, |range| range.end - range.start);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    if let Some(Range { start, end }) = range {
        headers.insert(header::CONTENT_RANGE, text(&format!("bytes {start}-{}/{}", end - 1, file.size)));
    }
    Ok(response)
}

fn empty(status: StatusCode, file: &Download<'_>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    caching(response.headers_mut(), file);
    response
}

fn caching(headers: &mut HeaderMap, file: &Download<'_>) {
    headers.insert(header::ETAG, text(&quoted(file.tag)));
    // Only the reader's own browser may keep it: who may read is asked at every other request.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
}

fn content(headers: &mut HeaderMap, file: &Download<'_>) {
    const POLICY: &str = "default-src 'none'; sandbox";
    headers.insert(header::CONTENT_TYPE, text(content_type(file.mime)));
    headers.insert(header::CONTENT_DISPOSITION, text(&disposition(file)));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
}

/// A header's value of what is ASCII by construction, or nothing of it.
fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn quoted(tag: &str) -> String {
    format!("\"{tag}\"")
}

/// Whether a browser may show it in its place and not only save it.
fn is_shown(mime: &str) -> bool {
    SHOWN_IMAGES.contains(&mime) || mime.starts_with("audio/") || mime.starts_with("video/")
}

/// The type that the file is sent as. What a browser could run, or hand to something that runs it, is
/// sent as mere bytes, whatever an operator lets people upload.
fn content_type(mime: &str) -> &str {
    let runs = ["xml", "script", "wasm", "flash", "java", "html"];
    let is_inert = |rest: &str| rest.contains("openxmlformats") || !runs.iter().any(|word| rest.contains(word));
    match mime {
        "text/plain" => "text/plain; charset=utf-8",
        shown if is_shown(shown) => shown,
        other if other.strip_prefix("application/").is_some_and(is_inert) => other,
        _ => "application/octet-stream",
    }
}

/// RFC 6266: the name twice, for old readers in ASCII.
fn disposition(file: &Download<'_>) -> String {
    let is_plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !"\"\\%".contains(c);
    let plain: String = file.name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let kind = if is_shown(file.mime) { "inline" } else { "attachment" };
    let whole = utf8_percent_encode(file.name, NOT_IN_NAMES);
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{whole}")
}

fn wanted(headers: &HeaderMap, file: &Download<'_>) -> Wanted {
    let line = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let tag = quoted(file.tag);
    // RFC 9110, section 13.1.2: compared weakly.
    let is_same = |known: &str| known.trim() == "*" || known.trim().trim_start_matches("W/") == tag;
    if line(header::IF_NONE_MATCH).is_some_and(|list| list.split(',').any(is_same)) {
        return Wanted::Nothing;
    }
    // Section 13.1.5: compared strongly; a date is never ours.
    if line(header::IF_RANGE).is_some_and(|known| known.trim() != tag) {
        return Wanted::Whole;
    }
    line(header::RANGE).map_or(Wanted::Whole, |range| part(range, file.size))
}

/// RFC 9110, section 14: a range that cannot be read, and several of them, are answered with the
/// whole.
fn part(range: &str, size: u64) -> Wanted {
    let read = || {
        let (first, last) = range.strip_prefix("bytes=")?.trim().split_once('-')?;
        match (first, last) {
            ("", count) => Some((size.saturating_sub(digits(count)?.min(size)), size)),
            (first, "") => Some((digits(first)?, size)),
            (first, last) => {
                let (first, last) = (digits(first)?, digits(last)?);
                (first <= last).then(|| (first, last.saturating_add(1).min(size)))
            }
        }
    };
    match read() {
        None => Wanted::Whole,
        Some((start, end)) if start >= end => Wanted::Outside,
        Some((start, end)) => Wanted::Part(start..end),
    }
}

fn digits(number: &str) -> Option<u64> {
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| number.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_read_and_the_rest_is_the_whole() {
        for (range, want) in [
            ("bytes=0-9", Wanted::Part(0..10)),
            ("bytes=90-", Wanted::Part(90..100)),
            ("bytes=-10", Wanted::Part(90..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=99-99999999999999999999999", Wanted::Part(99..100)),
            ("bytes=100-", Wanted::Outside),
            ("bytes=-0", Wanted::Outside),
            ("bytes=200-300", Wanted::Outside),
            ("bytes=9-0", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("items=0-9", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(part(range, 100), want, "{range:?}");
        }
    }

    #[test]
    fn nothing_is_sent_as_something_that_runs() {
        for mime in ["text/html", "image/svg+xml", "text/xml", "application/xml", "application/xhtml+xml"] {
            assert_eq!(content_type(mime), "application/octet-stream", "{mime}");
        }
        for mime in ["application/javascript", "text/javascript", "application/wasm", "text/x-shellscript", "odd"] {
            assert_eq!(content_type(mime), "application/octet-stream", "{mime}");
        }
        let word = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
        for mime in ["image/png", "audio/ogg", "video/mp4", "application/pdf", "application/zip", word] {
            assert_eq!(content_type(mime), mime);
        }
        assert_eq!(content_type("text/plain"), "text/plain; charset=utf-8");
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        let named = |name, mime| disposition(&Download { name, mime, size: 1, tag: "t" });
        assert_eq!(
            named("ảnh \"1\".png", "image/png"),
            "inline; filename=\"_nh _1_.png\"; filename*=UTF-8''%E1%BA%A3nh%20%221%22.png"
        );
        assert_eq!(
            named("a\r\nb.pdf", "application/pdf"),
            "attachment; filename=\"a__b.pdf\"; filename*=UTF-8''a%0D%0Ab.pdf"
        );
    }
}
