//! Follows answers over the chats door while they are made: each text piece by piece, in order, with what each piece
//! took on its way.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use memchr::{memchr, memmem};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::load::{Latencies, latencies};
use super::piece;
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::error::{Error, Result};

/// What one follower was shown.
#[derive(Debug)]
pub struct Shown {
    /// All of it.
    pub text: Vec<u8>,
    /// The stored answer, if the stream said that it is whole.
    pub response_id: Option<String>,
}

/// What all followers see.
pub struct Board {
    clock: Clock,
    window: Mutex<Window>,
    questions: Mutex<Vec<String>>,
    begun: watch::Sender<usize>,
}

/// What is counted: pieces that were sent from one instant to another, whenever they arrive.
struct Window {
    from: i64,
    to: i64,
    lags: Latencies,
}

impl Board {
    /// For so many followers.
    pub fn new(clock: &Clock, count: usize) -> Self {
        let window = Window { from: i64::MAX, to: i64::MAX, lags: latencies() };
        Self {
            clock: clock.clone(),
            window: Mutex::new(window),
            questions: Mutex::new(vec![String::new(); count]),
            begun: watch::Sender::new(0),
        }
    }

    /// Counts from now on.
    pub fn open(&self) {
        locked(&self.window).from = self.clock.now().0;
    }

    /// Counts what was sent until now.
    pub fn close(&self) {
        locked(&self.window).to = self.clock.now().0;
    }

    /// From sending to arriving, in microseconds, of each that was counted.
    pub fn lags(&self) -> Latencies {
        locked(&self.window).lags.clone()
    }

    /// The message that asked, by the number of the follower.
    pub fn question(&self, follower: usize) -> String {
        locked(&self.questions)[follower].clone()
    }

    /// Resolves when all have their first piece.
    pub async fn all_begun(&self) {
        let mut begun = self.begun.subscribe();
        let all = locked(&self.questions).len();
        // The sender is here, so the wait ends well.
        let _ = begun.wait_for(|begun| *begun >= all).await;
    }

    fn begins(&self, follower: usize, question: &str) {
        question.clone_into(&mut locked(&self.questions)[follower]);
        self.begun.send_modify(|begun| *begun += 1);
    }

    fn arrived(&self, sent: Timestamp, at: Timestamp) -> Result<()> {
        let lag = u64::try_from(at.0 - sent.0).map_err(|_| Error::internal("the clock was set back meanwhile"))?;
        let mut window = locked(&self.window);
        if (window.from..window.to).contains(&sent.0) {
            window.lags.saturating_record(lag.max(1));
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends a request and follows the answer's stream to its end.
///
/// # Errors
/// When the text lacks a piece, or one comes out of its order; when the stream breaks off.
pub async fn follow(address: SocketAddr, request: Vec<u8>, follower: usize, board: &Board) -> Result<Shown> {
    let mut stream = TcpStream::connect(address).await.map_err(Error::internal)?;
    stream.set_nodelay(true).map_err(Error::internal)?;
    stream.write_all(&request).await.map_err(Error::internal)?;
    let (mut body, mut reader) = (Body::default(), Reader::new(follower));
    let mut bytes = vec![0; 4096];
    loop {
        let count = stream.read(&mut bytes).await.map_err(Error::internal)?;
        if count == 0 {
            return Err(Error::internal("the stream of an answer broke off"));
        }
        let at = board.clock.now();
        body.take(&bytes[..count], &mut reader.lines)?;
        if let Some(response_id) = reader.read(at, board)? {
            return Ok(Shown { text: reader.text, response_id });
        }
    }
}

/// What an answer's lines said so far.
struct Reader {
    follower: usize,
    lines: Vec<u8>,
    text: Vec<u8>,
    pieces: usize,
    has_begun: bool,
}

impl Reader {
    fn new(follower: usize) -> Self {
        Self { follower, lines: Vec::new(), text: Vec::new(), pieces: 0, has_begun: false }
    }

    /// Reads the whole lines that are there. At the stream's end: the stored answer's name, if it is whole.
    fn read(&mut self, at: Timestamp, board: &Board) -> Result<Option<Option<String>>> {
        let mut start = 0;
        let mut ended = None;
        while let Some(end) = memchr(b'\n', &self.lines[start..]) {
            let line = start..start + end;
            start += end + 1;
            if let Some(data) = self.lines[line].strip_prefix(b"data: ") {
                let data = Data::parse(data)?;
                self.text.extend_from_slice(data.chunk);
                if !self.has_begun && self.text.len() >= piece::LENGTH {
                    self.has_begun = true;
                    board.begins(self.follower, data.field("message_id").unwrap_or_default());
                }
                ended = data.is_done.then(|| data.field("response_id").map(str::to_owned));
            }
        }
        self.lines.drain(..start);
        while let Some(next) = self.text.get(self.pieces * piece::LENGTH..(self.pieces + 1) * piece::LENGTH) {
            board.arrived(piece::read(next, self.pieces)?, at)?;
            self.pieces += 1;
        }
        Ok(ended)
    }
}

/// The data of one event.
struct Data<'a> {
    chunk: &'a [u8],
    rest: &'a str,
    is_done: bool,
}

impl<'a> Data<'a> {
    fn parse(data: &'a [u8]) -> Result<Self> {
        let wrong = || Error::internal(format!("no piece of an answer: {}", String::from_utf8_lossy(data)));
        let text = data.strip_prefix(br#"{"chunk": ""#).ok_or_else(wrong)?;
        let end = memchr(b'"', text).ok_or_else(wrong)?;
        let rest = std::str::from_utf8(&text[end..]).map_err(|_| wrong())?;
        let is_done = rest.contains(r#""done": true"#);
        // Nothing that the provider says has to be escaped.
        if text[..end].contains(&b'\\') || !(is_done || rest.contains(r#""done": false"#)) {
            return Err(wrong());
        }
        Ok(Self { chunk: &text[..end], rest, is_done })
    }

    fn field(&self, name: &str) -> Option<&'a str> {
        let start = self.rest.find(&format!("\"{name}\": \""))? + name.len() + 5;
        let rest = &self.rest[start..];
        Some(&rest[..rest.find('"')?])
    }
}

/// Where the reading of an HTTP answer in chunks stands.
enum Body {
    /// In its head, of which that is there.
    Head(Vec<u8>),
    /// In the size of a chunk.
    Size(usize),
    /// In what comes after the size, or after the data, to the end of the line.
    Rest(usize),
    /// In a chunk, so many bytes before its end.
    Chunk(usize),
}

impl Default for Body {
    fn default() -> Self {
        Self::Head(Vec::new())
    }
}

impl Body {
    /// Reads on, and adds what is of the body.
    fn take(&mut self, mut bytes: &[u8], to: &mut Vec<u8>) -> Result<()> {
        while let Some((&first, rest)) = bytes.split_first() {
            match self {
                Self::Head(head) => {
                    head.push(first);
                    bytes = rest;
                    if head.ends_with(b"\r\n\r\n") {
                        check(head)?;
                        *self = Self::Size(0);
                    }
                }
                Self::Size(size) => {
                    bytes = rest;
                    match char::from(first).to_digit(16) {
                        Some(digit) if *size < 1 << 24 => *size = *size * 16 + digit as usize,
                        _ if first == b'\r' => *self = Self::Rest(*size),
                        _ => return Err(Error::internal("a chunk without a size")),
                    }
                }
                Self::Rest(size) => {
                    bytes = rest;
                    if first == b'\n' {
                        *self = if *size == 0 { Self::Size(0) } else { Self::Chunk(*size) };
                    }
                }
                Self::Chunk(size) => {
                    let count = (*size).min(bytes.len());
                    to.extend_from_slice(&bytes[..count]);
                    bytes = &bytes[count..];
                    *self = if count == *size { Self::Rest(0) } else { Self::Chunk(*size - count) };
                }
            }
        }
        Ok(())
    }
}

fn check(head: &[u8]) -> Result<()> {
    let is_stream = head.starts_with(b"HTTP/1.1 200") && memmem::find(head, b"transfer-encoding: chunked").is_some();
    let wrong = || Error::internal(format!("no stream of an answer: {}", String::from_utf8_lossy(head)));
    if is_stream { Ok(()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(pieces: &[usize]) -> String {
        let mut body = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
        let mut add = |frame: String| body.push_str(&format!("{:x}\r\n{frame}\r\n", frame.len()));
        for two in pieces.chunks(2) {
            let text: String = two.iter().map(|number| piece::text(*number, Timestamp(7))).collect();
            add(format!("id: 1\ndata: {{\"chunk\": \"{text}\", \"done\": false, \"message_id\": \"q\"}}\n\n"));
        }
        add("data: {\"chunk\": \"\", \"done\": true, \"message_id\": \"q\", \"response_id\": \"a\"}\n\n".to_owned());
        body
    }

    fn read(bytes: &str, step: usize) -> Result<(Reader, Option<Option<String>>, Board)> {
        let board = Board::new(&Clock::system(), 1);
        let (mut body, mut reader, mut ended) = (Body::default(), Reader::new(0), None);
        for bytes in bytes.as_bytes().chunks(step) {
            body.take(bytes, &mut reader.lines)?;
            ended = reader.read(Timestamp(9), &board)?.or(ended);
        }
        Ok((reader, ended, board))
    }

    #[test]
    fn an_answer_is_read_however_it_is_split() {
        let bytes = stream(&[0, 1, 2, 3, 4]);
        for step in [1, 2, 3, 7, 64, 100_000] {
            let (reader, ended, board) = read(&bytes, step).unwrap();
            assert_eq!((reader.pieces, reader.text.len(), ended), (5, 5 * piece::LENGTH, Some(Some("a".to_owned()))));
            assert_eq!(board.question(0), "q");
        }
    }

    #[test]
    fn what_is_missing_doubled_or_no_answer_is_heard() {
        for pieces in [&[0, 2][..], &[0, 0], &[1], &[1, 0]] {
            assert!(read(&stream(pieces), 64).is_err(), "{pieces:?}");
        }
        for wrong in ["HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            assert!(read(wrong, 64).is_err(), "{wrong}");
        }
    }
}
