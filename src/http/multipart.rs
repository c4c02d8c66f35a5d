//! Reading `multipart/form-data`: a file that streams through, and small text fields around it, with
//! bounds on their number, their heads, their sizes and the whole time.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use futures_util::stream::Stream;
use multer::{Field, Multipart};
use tokio::time::Sleep;

use super::body::BodyError;

/// Parts of one form.
const PARTS_MAX: usize = 16;
/// What a text field may hold.
const TEXT_BYTES_MAX: usize = 8 << 10;
/// What may stand before a part's content: the rest of the last part, the boundary, the part's head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// What all of a form may hold besides its file.
const AROUND_BYTES_MAX: usize = 256 << 10;

/// What a form may be.
#[derive(Clone, Copy, Debug)]
pub struct FormLimits {
    /// Largest file, in bytes. One that is a little larger is still read: whoever stores it refuses it in
    /// better words.
    pub file_bytes_max: u64,
    /// The longest that the whole form may take.
    pub time: Duration,
}

/// A form that is being read.
pub struct Form {
    parts: Multipart<'static>,
    /// How many bytes may be read before the next thing has to be there.
    budget: Arc<AtomicUsize>,
    count: usize,
    texts: BTreeMap<String, String>,
}

/// A file in a form: a stream of its bytes. Read it to its end before the form goes on.
pub struct FormFile {
    /// What the client calls it, whatever that is.
    pub name: String,
    content: Field<'static>,
}

impl Form {
    /// Begins to read a request's body.
    ///
    /// # Errors
    /// `MediaType` when it is no form of this kind; `TooLarge` when it says so itself.
    pub fn read(headers: &HeaderMap, body: Body, limits: FormLimits) -> Result<Self, BodyError> {
        let declared = headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("(unreadable)"));
        let boundary = multer::parse_boundary(declared).map_err(|_| BodyError::MediaType(declared.to_owned()))?;
        let max = usize::try_from(limits.file_bytes_max).unwrap_or(usize::MAX).saturating_add(AROUND_BYTES_MAX);
        // Said before anything is read, so that who asks first (`Expect: 100-continue`) sends nothing.
        if body.size_hint().lower() > max as u64 {
            return Err(BodyError::TooLarge { max });
        }
        let budget = Arc::new(AtomicUsize::new(HEAD_BYTES_MAX));
        let gate = Gate {
            body: body.into_data_stream(),
            left: max,
            max,
            budget: Arc::clone(&budget),
            end: Box::pin(tokio::time::sleep(limits.time)),
            rests: false,
        };
        Ok(Self { parts: Multipart::new(gate, boundary), budget, count: 0, texts: BTreeMap::new() })
    }

    /// The file of that field, when the form has one; the text fields before it are then known.
    ///
    /// # Errors
    /// `TooLarge`, `TooSlow`, `Broken`; `Malformed` also for a file in another field.
    pub async fn file(&mut self, field: &str) -> Result<Option<FormFile>, BodyError> {
        while let Some(part) = self.next_part().await? {
            let name = part.name().ok_or_else(|| malformed("a part has no name"))?.to_owned();
            match part.file_name().map(str::to_owned) {
                Some(file_name) if name == field => {
                    self.budget.store(usize::MAX, Ordering::Relaxed);
                    return Ok(Some(FormFile { name: file_name, content: part }));
                }
                Some(_) => return Err(malformed("there is a file in another field than expected, or a second one")),
                None => {
                    let text = text(part).await?;
                    self.texts.insert(name, text);
                }
            }
        }
        Ok(None)
    }

    /// Reads what comes after the file: more text fields, and no second file.
    ///
    /// # Errors
    /// As [`Form::file`].
    pub async fn end(&mut self) -> Result<(), BodyError> {
        // No field has an empty name that a file could be expected in: see `next_part`.
        self.file("").await.map(|_| ())
    }

    /// A text field, as far as the form was read. Of one that comes twice the last counts.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.texts.get(field).map(String::as_str)
    }

    async fn next_part(&mut self) -> Result<Option<Field<'static>>, BodyError> {
        self.budget.store(HEAD_BYTES_MAX, Ordering::Relaxed);
        let part = self.parts.next_field().await.map_err(explained)?;
        self.count += 1;
        if self.count > PARTS_MAX && part.is_some() {
            return Err(malformed("there are too many parts"));
        }
        match &part {
            Some(part) if part.name().is_none_or(str::is_empty) => Err(malformed("a part has no name")),
            _ => Ok(part),
        }
    }
}

impl Stream for FormFile {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.content).poll_next(cx).map_err(explained)
    }
}

async fn text(mut part: Field<'static>) -> Result<String, BodyError> {
    let mut whole = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(explained)? {
        whole.extend_from_slice(&chunk);
        if whole.len() > TEXT_BYTES_MAX {
            return Err(BodyError::TooLarge { max: TEXT_BYTES_MAX });
        }
    }
    String::from_utf8(whole).map_err(|_| malformed("a text field is not UTF-8"))
}

fn malformed(what: &str) -> BodyError {
    BodyError::Malformed(what.to_owned())
}

fn explained(error: multer::Error) -> BodyError {
    use multer::Error as E;
    match error {
        E::StreamReadFailed(cause) => cause.downcast::<Stopped>().map_or(BodyError::Broken, |stopped| stopped.0),
        E::IncompleteFieldData { .. } | E::IncompleteHeaders | E::IncompleteStream => BodyError::Broken,
        other => BodyError::Malformed(other.to_string()),
    }
}

/// Why the gate closed.
#[derive(Debug)]
struct Stopped(BodyError);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Stopped {}

/// Stands between the body and its parser, which has no bound of its own on what it reads before it
/// looks, on heads, or on time.
struct Gate {
    body: BodyDataStream,
    /// What all of the body may still hold.
    left: usize,
    max: usize,
    budget: Arc<AtomicUsize>,
    end: Pin<Box<Sleep>>,
    /// After each chunk the parser has its turn before there is another: it would read on for as long
    /// as there is something.
    rests: bool,
}

impl Gate {
    /// Accounts for a chunk. The chunk that passes a bound is the last one.
    fn pass(&mut self, chunk: Bytes) -> Result<Bytes, Stopped> {
        let budget = self.budget.load(Ordering::Relaxed);
        if chunk.len() > self.left {
            return Err(Stopped(BodyError::TooLarge { max: self.max }));
        }
        if budget == 0 {
            return Err(Stopped(BodyError::TooLarge { max: HEAD_BYTES_MAX }));
        }
        self.left -= chunk.len();
        if budget != usize::MAX {
            self.budget.store(budget.saturating_sub(chunk.len()), Ordering::Relaxed);
        }
        Ok(chunk)
    }
}

impl Stream for Gate {
    type Item = Result<Bytes, Stopped>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.rests) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Stopped(BodyError::TooSlow))));
        }
        match Pin::new(&mut self.body).poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                self.rests = true;
                Poll::Ready(Some(self.pass(chunk)))
            }
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(Stopped(BodyError::Broken)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream::{self, TryStreamExt};
    use proptest::prelude::*;

    use super::*;

    const LIMITS: FormLimits = FormLimits { file_bytes_max: 1 << 20, time: Duration::from_secs(20) };

    /// Reads a form that arrives in pieces of that size: the file's name and content, and a field.
    fn read(body: &[u8], piece: usize) -> Result<(String, Vec<u8>, String), BodyError> {
        let pieces: Vec<_> = body.chunks(piece).map(Bytes::copy_from_slice).map(Ok::<_, Infallible>).collect();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "multipart/form-data; boundary=b".parse().unwrap());
        let reading = async {
            let mut form = Form::read(&headers, Body::from_stream(stream::iter(pieces)), LIMITS)?;
            let Some(file) = form.file("file").await? else { return Ok(Default::default()) };
            let name = file.name.clone();
            let content: Vec<Bytes> = file.try_collect().await?;
            form.end().await?;
            Ok((name, content.concat(), form.text("after").unwrap_or_default().to_owned()))
        };
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(reading)
    }

    #[test]
    fn a_form_is_the_same_however_it_arrives() {
        let content = b"\r\n--\r\n--x\r\r\n-".repeat(50);
        let mut body = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n".to_vec();
        body.extend_from_slice(&content);
        body.extend_from_slice(b"\r\n--b\r\nContent-Disposition: form-data; name=\"after\"\r\n\r\nyes\r\n--b--\r\n");
        for piece in [1, 2, 3, 5, 8, 64, 1000, body.len()] {
            let (name, read, after) = read(&body, piece).unwrap();
            assert_eq!((name.as_str(), after.as_str()), ("a.bin", "yes"));
            assert!(read == content, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_second_file_is_refused() {
        let part = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n";
        let two = format!("{part}{part}--b--\r\n");
        assert!(matches!(read(two.as_bytes(), 7), Err(BodyError::Malformed(_))));
    }

    #[test]
    fn a_head_without_end_is_cut_off() {
        let endless = [&b"--b\r\n"[..], &b"X-Y: z\r\n".repeat(100_000)].concat();
        assert_eq!(read(&endless, 4096), Err(BodyError::TooLarge { max: HEAD_BYTES_MAX }));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_or_hang(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "--b", "--", "\r\n", "\r", "\n", "b", ":", "Content-Disposition: form-data; name=\"file\"",
                    "; filename=\"a\"", "; name=", "\"", "\\", "\0", "é",
                ]),
                0..40,
            ),
            piece in 1_usize..30,
        ) {
            let _ = read(words.concat().as_bytes(), piece);
        }
    }
}
