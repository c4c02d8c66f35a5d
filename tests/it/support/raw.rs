//! A client that speaks bytes: what a well-behaved library would never send.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::app::PATIENCE;

/// A connection.
pub struct Raw {
    stream: TcpStream,
    pending: Vec<u8>,
}

/// An answer, read as HTTP/1 frames it.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The head as it came, in lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Raw {
    /// Connects to `http://ADDRESS`.
    pub async fn connect(url: &str) -> Self {
        let stream = TcpStream::connect(address(url)).await.expect("a connection");
        Self { stream, pending: Vec::new() }
    }

    /// Connects with a receive buffer so small that little fits between the two.
    pub async fn narrow(url: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let stream = socket.connect(address(url)).await.expect("a connection");
        Self { stream, pending: Vec::new() }
    }

    /// Sends; whether it went out. A server may have hung up on us.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await.expect("the server takes or closes").is_ok()
    }

    /// Sends while it listens, as a good client of large uploads does.
    pub async fn send_and_hear(&mut self, bytes: &[u8]) -> Option<Answer> {
        let (mut reading, mut writing) = self.stream.split();
        let mut heard = Vec::new();
        let mut chunk = [0; 4096];
        let mut sent = 0;
        while sent < bytes.len() {
            tokio::select! {
                written = writing.write(&bytes[sent..]) => match written { Ok(count) => sent += count, Err(_) => break },
                read = reading.read(&mut chunk) => match read {
                    Ok(count) if count > 0 => { heard.extend_from_slice(&chunk[..count]); break }
                    _ => break,
                },
            }
        }
        self.pending.extend(heard);
        self.answer().await
    }

    /// Nothing more will be sent; the other direction stays open.
    pub async fn close_writing(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// The status of an answer whose body is left where it is.
    pub async fn answer_head(&mut self) -> u16 {
        while !self.pending.windows(4).any(|four| four == b"\r\n\r\n") {
            assert!(self.more().await, "closed without an answer");
        }
        let line = String::from_utf8_lossy(&self.pending).into_owned();
        line.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status")
    }

    /// The next answer; `None` when the connection was closed instead. Fails when neither comes.
    pub async fn answer(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(end) = self.pending.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if !self.more().await {
                return None;
            }
        };
        let head: Vec<u8> = self.pending.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("a head is ASCII").to_lowercase();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        let mut answer = Answer { status, head, body: Vec::new() };
        if let Some(length) = answer.header("content-length").and_then(|length| length.parse().ok()) {
            while self.pending.len() < length && self.more().await {}
            answer.body = self.pending.drain(..length.min(self.pending.len())).collect();
        } else if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = self.chunks().await;
        }
        Some(answer)
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(end) = self.pending.windows(2).position(|pair| pair == b"\r\n") {
                    break self.pending.drain(..end + 2).collect::<Vec<_>>();
                }
                if !self.more().await {
                    return body;
                }
            };
            let size = std::str::from_utf8(&line).expect("ASCII").trim();
            let size = usize::from_str_radix(size, 16).expect("a size");
            while self.pending.len() < size + 2 && self.more().await {}
            body.extend(self.pending.drain(..size));
            self.pending.drain(..2);
            if size == 0 {
                return body;
            }
        }
    }

    /// Everything up to the close, which has to come.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.pending)
    }

    /// So many bytes; `None` when the connection is closed before.
    pub async fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.pending.len() < count {
            if !self.more().await {
                return None;
            }
        }
        Some(self.pending.drain(..count).collect())
    }

    async fn more(&mut self) -> bool {
        let mut chunk = [0; 16 << 10];
        let read = timeout(PATIENCE, self.stream.read(&mut chunk)).await.expect("an answer or a close in time");
        // A reset is a close as well.
        let count = read.unwrap_or(0);
        self.pending.extend_from_slice(&chunk[..count]);
        count > 0
    }
}

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().expect("an address")
}

/// A request's bytes.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !body.is_empty() {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}
