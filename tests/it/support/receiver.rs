//! An endpoint that webhooks are posted to: a real server that keeps what it heard and answers as it is told.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::app::PATIENCE;

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// With that status and an empty body.
    Status(u16),
    /// With 503, and for how many seconds it wants to be left alone.
    Later(u64),
    /// With a redirect to there.
    Redirect(String),
    /// Not at all: the connection stays open and silent.
    Silence,
    /// Not at all: the connection is closed.
    HangUp,
    /// With a body that never ends.
    Endless,
    /// With a body that never comes.
    Bodiless,
}

/// A request that was heard.
#[derive(Clone, Debug)]
pub struct Heard {
    head: String,
    pub body: Vec<u8>,
}

impl Heard {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut found = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }

    /// The id that stays the same over retries.
    pub fn id(&self) -> &str {
        self.header("webhook-id").expect("an id")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// What was said in it, if it tells of a message.
    pub fn text(&self) -> String {
        self.json()["data"]["message"]["text"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether one of its signatures is by that secret, computed here from the specification alone.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("the prefix")).expect("Base64");
        let mut signed = format!("{}.{}.", self.id(), self.header("webhook-timestamp").expect("a time")).into_bytes();
        signed.extend_from_slice(&self.body);
        let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key), &signed);
        let want = format!("v1,{}", STANDARD.encode(tag.as_ref()));
        self.header("webhook-signature").expect("a signature").split(' ').any(|signature| signature == want)
    }
}

type Plan = Box<dyn FnMut(&Heard) -> Answer + Send>;

/// A running endpoint.
pub struct Receiver {
    /// `http://127.0.0.1:PORT/hook`.
    pub url: String,
    pub port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
    plan: Arc<Mutex<Plan>>,
}

impl Receiver {
    /// One that takes everything.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (heard, plan): (Arc<Mutex<Vec<Heard>>>, Arc<Mutex<Plan>>) =
            (Arc::default(), Arc::new(Mutex::new(Box::new(|_: &Heard| Answer::Status(204)))));
        let (keep, answers) = (Arc::clone(&heard), Arc::clone(&plan));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&keep), Arc::clone(&answers)));
            }
        });
        Self { url: format!("http://127.0.0.1:{port}/hook"), port, heard, plan }
    }

    /// Answers like that from now on.
    pub fn answers(&self, plan: impl FnMut(&Heard) -> Answer + Send + 'static) {
        *self.plan.lock().expect("no test panics while it holds this") = Box::new(plan);
    }

    /// What was heard so far, in the order of arriving.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no test panics while it holds this").clone()
    }

    /// What the messages said that were heard.
    pub fn texts(&self) -> Vec<String> {
        self.heard().iter().map(Heard::text).collect()
    }

    /// The ids of what was heard.
    pub fn ids(&self) -> Vec<String> {
        self.heard().iter().map(|heard| heard.id().to_owned()).collect()
    }

    /// Waits until so many requests were heard.
    pub async fn hears(&self, count: usize) -> Vec<Heard> {
        let began = Instant::now();
        loop {
            let heard = self.heard();
            if heard.len() >= count {
                return heard;
            }
            assert!(began.elapsed() < PATIENCE, "{} of {count} requests came", heard.len());
            tokio::task::yield_now().await;
        }
    }
}

async fn converse(mut stream: TcpStream, keep: Arc<Mutex<Vec<Heard>>>, plan: Arc<Mutex<Plan>>) {
    let mut pending = Vec::new();
    while let Some(heard) = read(&mut stream, &mut pending).await {
        let answer = {
            let mut plan = plan.lock().expect("no test panics while it holds this");
            keep.lock().expect("no test panics while it holds this").push(heard.clone());
            (*plan)(&heard)
        };
        let bytes = match answer {
            Answer::Status(status) => format!("HTTP/1.1 {status} Told\r\ncontent-length: 0\r\n\r\n"),
            Answer::Later(seconds) => {
                format!("HTTP/1.1 503 Later\r\nretry-after: {seconds}\r\ncontent-length: 0\r\n\r\n")
            }
            Answer::Redirect(to) => format!("HTTP/1.1 307 There\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"),
            Answer::HangUp => return,
            Answer::Silence => return std::future::pending().await,
            Answer::Bodiless => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await;
                return std::future::pending().await;
            }
            Answer::Endless => {
                let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(b"400\r\n").await.is_ok()
                    && stream.write_all(&[b'a'; 0x400]).await.is_ok()
                    && stream.write_all(b"\r\n").await.is_ok()
                {}
                return;
            }
        };
        if stream.write_all(bytes.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A whole request; `None` when there is none any more.
async fn read(stream: &mut TcpStream, pending: &mut Vec<u8>) -> Option<Heard> {
    let mut more = async |pending: &mut Vec<u8>| {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.unwrap_or(0);
        pending.extend_from_slice(&chunk[..count]);
        (count > 0).then_some(())
    };
    let end = loop {
        match pending.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(end) => break end + 4,
            None => more(pending).await?,
        }
    };
    let head = String::from_utf8(pending.drain(..end).collect()).expect("a head is ASCII");
    let heard = Heard { head, body: Vec::new() };
    let length = heard.header("content-length").map_or(0, |length| length.parse().expect("a length"));
    while pending.len() < length {
        more(pending).await?;
    }
    Some(Heard { body: pending.drain(..length).collect(), ..heard })
}
