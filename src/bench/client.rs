//! One keep-alive connection over HTTP/1.1 that costs as little as it can.
//!
//! The load generator shares the machine with the server that it measures, so a general client's
//! allocations and header maps would be paid out of the server's rate. Requests are bytes made
//! beforehand; of an answer only the status and the length of its body are understood.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The bytes of a GET.
pub fn get(host: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\n\r\n").into_bytes()
}

/// The bytes of a GET by a user of a platform.
pub fn get_as(host: &str, path: &str, token: &str, key: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\nauthorization: Bearer {token}\r\n\
         x-public-key: {key}\r\n\r\n"
    )
    .into_bytes()
}

/// The bytes of a POST with a JSON body.
pub fn post(host: &str, path: &str, json: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{json}",
        json.len()
    )
    .into_bytes()
}

/// An answer: its status, and its body as sent (without the chunks' frames).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
}

/// What cannot be an answer to the request that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an HTTP answer: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

impl From<Malformed> for io::Error {
    fn from(malformed: Malformed) -> Self {
        Self::new(io::ErrorKind::InvalidData, malformed)
    }
}

/// A connection that asks one thing after another.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    parser: Parser,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// The system's.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, parser: Parser::default() })
    }

    /// Sends a request and reads its whole answer.
    ///
    /// # Errors
    /// The system's; `InvalidData` for what is no answer, `UnexpectedEof` when the server closes.
    pub async fn call(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.parser.clear();
        while !self.parser.is_complete()? {
            if self.stream.read_buf(&mut self.parser.bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.parser.answer())
    }
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug)]
enum Framing {
    Length(usize),
    Chunked,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    status: u16,
    framing: Framing,
    /// Where the body begins.
    end: usize,
}

/// The bytes of one answer, as they arrive.
#[derive(Debug, Default)]
pub(super) struct Parser {
    bytes: Vec<u8>,
    head: Option<Head>,
    /// The body put together again, when it came in chunks.
    unchunked: Vec<u8>,
}

impl Parser {
    fn clear(&mut self) {
        self.bytes.clear();
        self.head = None;
        // Room for a page in one read; a vector that grows by doubling would read it in many.
        self.bytes.reserve(32 * 1024);
    }

    /// Whether the whole answer is there.
    fn is_complete(&mut self) -> Result<bool, Malformed> {
        if self.head.is_none() {
            self.head = parse_head(&self.bytes)?;
        }
        let Some(head) = self.head else { return Ok(false) };
        let body = &self.bytes[head.end..];
        match head.framing {
            Framing::Length(length) if body.len() > length => Err(Malformed("more than one answer to one request")),
            Framing::Length(length) => Ok(body.len() == length),
            Framing::Chunked => unchunk(body, &mut self.unchunked),
        }
    }

    fn answer(&self) -> Answer<'_> {
        match self.head {
            Some(Head { status, framing: Framing::Length(_), end }) => Answer { status, body: &self.bytes[end..] },
            Some(Head { status, framing: Framing::Chunked, .. }) => Answer { status, body: &self.unchunked },
            None => Answer { status: 0, body: &[] },
        }
    }
}

/// The head of an answer; `None` while its end has not arrived.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    const HEAD_MAX: usize = 64 * 1024;
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > HEAD_MAX { Err(Malformed("its head does not end")) } else { Ok(None) };
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| Malformed("its head is not text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(status_of).ok_or(Malformed("no status line"))?;
    let mut framing = match status {
        204 | 304 => Some(Framing::Length(0)),
        _ => None,
    };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if framing.is_none() && name.eq_ignore_ascii_case("content-length") {
            let length = value.trim().parse().map_err(|_| Malformed("its length is not a number"))?;
            framing = Some(Framing::Length(length));
        } else if name.eq_ignore_ascii_case("transfer-encoding") && value.trim().eq_ignore_ascii_case("chunked") {
            framing = Some(Framing::Chunked);
        }
    }
    // A body that ends with the connection would end the keep-alive that is measured.
    let framing = framing.ok_or(Malformed("neither a length nor chunks"))?;
    Ok(Some(Head { status, framing, end: end + 4 }))
}

fn status_of(line: &str) -> Option<u16> {
    line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// Puts the chunks in `bytes` together in `body`; `false` while the last one has not arrived.
fn unchunk(mut bytes: &[u8], body: &mut Vec<u8>) -> Result<bool, Malformed> {
    body.clear();
    loop {
        let Some(line) = memmem::find(bytes, b"\r\n") else { return Ok(false) };
        let size = std::str::from_utf8(&bytes[..line]).ok().and_then(|line| line.split(';').next());
        let size = size
            .and_then(|size| usize::from_str_radix(size.trim(), 16).ok())
            .filter(|size| *size <= isize::MAX as usize - 4)
            .ok_or(Malformed("a chunk without a size"))?;
        bytes = &bytes[line + 2..];
        if size == 0 {
            // No trailers: nothing that is measured sends any.
            return match bytes.len() {
                0 | 1 => Ok(false),
                2 if bytes == b"\r\n" => Ok(true),
                _ => Err(Malformed("more than one answer to one request")),
            };
        }
        if bytes.len() < size + 2 {
            return Ok(false);
        }
        if &bytes[size..size + 2] != b"\r\n" {
            return Err(Malformed("a chunk without an end"));
        }
        body.extend_from_slice(&bytes[..size]);
        bytes = &bytes[size + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in two pieces split at every place, and byte by byte.
    fn parse(bytes: &[u8]) -> Result<Option<(u16, Vec<u8>)>, Malformed> {
        let mut outcomes = Vec::new();
        let cuts = (0..=bytes.len()).map(|cut| vec![cut, bytes.len()]);
        for cuts in cuts.chain([(1..=bytes.len()).collect()]) {
            let mut parser = Parser::default();
            parser.clear();
            let mut outcome = Ok(None);
            let mut from = 0;
            for to in cuts {
                parser.bytes.extend_from_slice(&bytes[from..to]);
                from = to;
                outcome = parser
                    .is_complete()
                    .map(|complete| complete.then(|| (parser.answer().status, parser.answer().body.to_vec())));
                if outcome.is_err() {
                    break;
                }
            }
            outcomes.push(outcome);
        }
        assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "{outcomes:?}");
        outcomes.pop().unwrap()
    }

    #[test]
    fn reads_a_body_with_a_length_however_it_is_split() {
        let answer = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx: y\r\n\r\nhello");
        assert_eq!(answer, Ok(Some((200, b"hello".to_vec()))));
    }

    #[test]
    fn reads_chunks_however_they_are_split() {
        let answer = parse(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4;ext=1\r\nwith\r\nA\r\n\r\n chunks!\r\n0\r\n\r\n",
        );
        assert_eq!(answer, Ok(Some((200, b"with\r\n chunks!".to_vec()))));
    }

    #[test]
    fn an_error_status_and_an_empty_body_are_answers() {
        assert_eq!(parse(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}"), Ok(Some((404, b"{}".to_vec()))));
        assert_eq!(parse(b"HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n"), Ok(Some((304, Vec::new()))));
        assert_eq!(parse(b"HTTP/1.1 503 \r\ncontent-length: 0\r\n\r\n"), Ok(Some((503, Vec::new()))));
    }

    #[test]
    fn what_is_cut_off_is_not_complete() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello"), Ok(None));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"), Ok(None));
    }

    #[test]
    fn what_is_no_single_answer_is_refused() {
        for bytes in [
            &b"SSH-2.0-x\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n\r\n",
        ] {
            assert!(parse(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
