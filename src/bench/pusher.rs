//! A client of the Pusher protocol (version 7) that costs as little as it can, and the protocol's HTTP
//! API: what is needed to follow a channel and to publish to one, on any server that speaks it.

use std::fmt::Write as _;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use memchr::memmem;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};

use super::client;
use super::frames::{CLOSE, Frames, PING, PONG, TEXT, masked};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::http::signature;

/// An app of a Pusher server: whom its channels belong to.
#[derive(Clone)]
pub struct App {
    /// The server.
    pub address: SocketAddr,
    /// How requests name the server.
    pub host: String,
    /// Names the app to clients.
    pub key: String,
    /// Names the app in the HTTP API.
    pub id: String,
    /// Signs.
    pub secret: String,
}

impl App {
    /// What a subscription of that connection to a private channel is authorised by.
    pub fn authorize(&self, socket_id: &str, channel: &str) -> String {
        format!("{}:{}", self.key, signature::subscription(&self.secret, socket_id, channel, None))
    }

    /// The request that publishes each text to a channel, in one call.
    pub fn publish(&self, clock: &Clock, channel: &str, texts: &[String]) -> Vec<u8> {
        match texts {
            [text] => self.call(clock, "events", &json!({"name": "bench", "channels": [channel], "data": text})),
            texts => {
                let event = |text| json!({"name": "bench", "channel": channel, "data": text});
                let batch: Vec<_> = texts.iter().map(event).collect();
                self.call(clock, "batch_events", &json!({"batch": batch}))
            }
        }
    }

    fn call(&self, clock: &Clock, what: &str, body: &Value) -> Vec<u8> {
        let body = body.to_string();
        let path = format!("/apps/{}/{what}", self.id);
        let query = format!(
            "auth_key={}&auth_timestamp={}&auth_version=1.0&body_md5={}",
            self.key,
            clock.now().0 / 1_000_000,
            signature::md5(body.as_bytes())
        );
        let signed = format!("POST\n{path}\n{query}");
        let signature = signature::sign(&self.secret, &[signed.as_bytes()]);
        client::post(&self.host, &format!("{path}?{query}&auth_signature={signature}"), &body)
    }
}

/// A connection to the loopback from one of several addresses: so many leave one address too few ports.
///
/// # Errors
/// The system's.
pub async fn connect(to: SocketAddr, number: usize) -> std::io::Result<TcpStream> {
    const SOURCES: usize = 16;
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if to.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        let last = 2 + (number % SOURCES) as u8;
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
    }
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A WebSocket that was told its socket id.
#[derive(Debug)]
pub struct Connection {
    reader: OwnedReadHalf,
    /// For who has to say something while it is followed.
    pub writer: Arc<OwnedWriteHalf>,
    frames: Frames,
    /// What the server calls it.
    pub socket_id: String,
    /// After how long without a frame a client says that it is there.
    pub activity_timeout: Duration,
}

/// What is heard of a followed connection: a message, and when. It says whether it understood it.
pub trait Ear: FnMut(&[u8], Instant) -> Result<bool> + Send + 'static {}
impl<F: FnMut(&[u8], Instant) -> Result<bool> + Send + 'static> Ear for F {}

impl Connection {
    /// Connects to an app; `number` tells the connections of a run apart.
    ///
    /// # Errors
    /// The system's, and an answer that is not the protocol's.
    pub async fn open(app: &App, number: usize) -> Result<Self> {
        let stream = connect(app.address, number).await.map_err(Error::internal)?;
        let (mut reader, mut writer) = stream.into_split();
        writer.write_all(&handshake(app)).await.map_err(Error::internal)?;
        let mut frames = Frames::default();
        frames.keep(&read_head(&mut reader).await?);
        let writer = Arc::new(writer);
        let mut connection =
            Self { reader, writer, frames, socket_id: String::new(), activity_timeout: Duration::ZERO };
        let established = connection.wait_for("pusher:connection_established").await?;
        let data = established["data"].as_str().and_then(|data| serde_json::from_str::<Value>(data).ok());
        let data = data.ok_or_else(|| wrong("connection_established", &established))?;
        connection.socket_id =
            data["socket_id"].as_str().ok_or_else(|| wrong("connection_established", &established))?.to_owned();
        connection.activity_timeout = Duration::from_secs(data["activity_timeout"].as_u64().unwrap_or(120));
        Ok(connection)
    }

    /// Subscribes to a private channel and waits until it is.
    ///
    /// # Errors
    /// When the server refuses, or closes.
    pub async fn subscribe(&mut self, channel: &str, auth: &str) -> Result<()> {
        let subscribe = json!({"event": "pusher:subscribe", "data": {"channel": channel, "auth": auth}});
        self.say(&subscribe.to_string())?;
        let answer = self.wait_for("pusher_internal:subscription_succeeded").await?;
        if answer["channel"] == channel { Ok(()) } else { Err(wrong("subscription_succeeded", &answer)) }
    }

    /// Follows to the end, which is always an error: the server closed, or something wrong was heard. What
    /// `ear` does not understand is taken for the protocol's own.
    ///
    /// # Errors
    /// Always.
    pub async fn follow(mut self, mut ear: impl Ear) -> Result<()> {
        let mut first = std::mem::take(&mut self.frames).tail();
        std::future::poll_fn(move |cx| {
            let Self { reader, writer, frames, .. } = &mut self;
            let mut take = |bytes: &[u8]| {
                let at = Instant::now();
                frames.feed(bytes, |opcode, payload| match opcode {
                    TEXT if ear(payload, at)? => Ok(()),
                    _ => answer(writer, opcode, payload),
                })
            };
            let first = std::mem::take(&mut first);
            if !first.is_empty() {
                take(&first)?;
            }
            loop {
                ready!(poll_some(reader, cx, &mut take))?;
            }
        })
        .await
    }

    fn say(&self, text: &str) -> Result<()> {
        write(&self.writer, &masked(TEXT, text.as_bytes()))
    }

    /// The next event of that name; others before it are passed over, but not refusals.
    async fn wait_for(&mut self, event: &str) -> Result<Value> {
        loop {
            let (opcode, payload) = self.next().await?;
            if opcode != TEXT {
                answer(&self.writer, opcode, &payload)?;
                continue;
            }
            let said: Value = serde_json::from_slice(&payload).map_err(Error::internal)?;
            match said["event"].as_str() {
                Some(name) if name == event => return Ok(said),
                Some("pusher:error" | "pusher:subscription_error") => return Err(wrong(event, &said)),
                _ => answer(&self.writer, opcode, &payload)?,
            }
        }
    }

    async fn next(&mut self) -> Result<(u8, Vec<u8>)> {
        loop {
            if let Some(frame) = self.frames.next()? {
                return Ok(frame);
            }
            let Self { reader, frames, .. } = self;
            std::future::poll_fn(|cx| {
                poll_some(reader, cx, &mut |bytes: &[u8]| {
                    frames.keep(bytes);
                    Ok(())
                })
            })
            .await?;
        }
    }
}

fn wrong(expected: &str, said: &Value) -> Error {
    Error::internal(format!("the server said {said} where {expected} was expected"))
}

/// What a client says when it has heard nothing for a while.
pub fn ping() -> Vec<u8> {
    masked(TEXT, br#"{"event":"pusher:ping","data":{}}"#)
}

/// Writes a short frame. The kernel has room for it, as nothing much is ever sent.
///
/// # Errors
/// When it has not, or the connection is gone.
pub fn write(writer: &OwnedWriteHalf, frame: &[u8]) -> Result<()> {
    match writer.try_write(frame) {
        Ok(count) if count == frame.len() => Ok(()),
        Ok(_) => Err(Error::internal("the server does not read")),
        Err(error) => Err(Error::internal(error)),
    }
}

/// Answers what is not a message.
fn answer(writer: &OwnedWriteHalf, opcode: u8, payload: &[u8]) -> Result<()> {
    let has = |needle: &str| memmem::find(payload, needle.as_bytes()).is_some();
    match opcode {
        PING => write(writer, &masked(PONG, payload)),
        TEXT if has("\"pusher:ping\"") => write(writer, &masked(TEXT, br#"{"event":"pusher:pong","data":{}}"#)),
        TEXT if has("\"pusher:error\"") || has("\"pusher:subscription_error\"") => {
            Err(Error::internal(format!("the server said {}", String::from_utf8_lossy(payload))))
        }
        CLOSE => {
            let code = payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
            let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default());
            Err(Error::internal(format!("the server closed a connection: {code} {reason}")))
        }
        _ => Ok(()),
    }
}

/// Reads once what there is, onto the stack: a buffer of its own for each of many thousand connections
/// would cost the machine more than the server does.
pub fn poll_some(
    reader: &mut OwnedReadHalf,
    cx: &mut Context<'_>,
    take: &mut impl FnMut(&[u8]) -> Result<()>,
) -> Poll<Result<()>> {
    let mut space = [const { MaybeUninit::<u8>::uninit() }; 32 * 1024];
    let mut buffer = ReadBuf::uninit(&mut space);
    ready!(Pin::new(reader).poll_read(cx, &mut buffer)).map_err(Error::internal)?;
    if buffer.filled().is_empty() {
        return Poll::Ready(Err(Error::internal("the server closed a connection without a word")));
    }
    Poll::Ready(take(buffer.filled()))
}

/// RFC 6455, section 1.3: the key of its example, and what the server has to make of it.
const NONCE: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn handshake(app: &App) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let mut request = format!("GET /app/{}?protocol=7&client=roost-bench&version={version}&flash=false ", app.key);
    let _ = write!(
        request,
        "HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: {NONCE}\r\n\r\n",
        app.host
    );
    request.into_bytes()
}

/// Reads to the end of the handshake's answer; what followed it already.
async fn read_head(reader: &mut OwnedReadHalf) -> Result<Vec<u8>> {
    let mut read = Vec::with_capacity(512);
    loop {
        if let Some(end) = memmem::find(&read, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]);
            return if head.starts_with("HTTP/1.1 101") && head.contains(ACCEPT) {
                Ok(read[end + 4..].to_vec())
            } else {
                Err(Error::internal(format!("the server does not open a WebSocket: {head}")))
            };
        }
        std::future::poll_fn(|cx| {
            poll_some(reader, cx, &mut |bytes: &[u8]| {
                read.extend_from_slice(bytes);
                Ok(())
            })
        })
        .await?;
    }
}
