//! A provider of answers that does what it is told: a small HTTP server on loopback, whose every answer is a script.
//! It speaks the wire format of OpenAI's chat completions as far as `roost bench` and the suite need it, sends whatever
//! bytes it is given, and notes what it was asked and when a client went away.

use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::{PATIENCE, failed};
use crate::error::Result;

/// The largest request that is read, in bytes.
const REQUEST_MAX: usize = 16 << 20;

/// One thing that the provider does.
#[derive(Clone)]
pub enum Step {
    /// Begins the answer: the status, and headers besides those of the framing.
    Head(u16, Vec<(&'static str, String)>),
    /// Sends bytes of the body, in one piece.
    Body(Vec<u8>),
    /// Sends so many pieces, one each time that the duration has passed; each is made when it is sent.
    Pieces(usize, Duration, Arc<dyn Fn(usize) -> Vec<u8> + Send + Sync>),
    /// Waits.
    Pause(Duration),
    /// Waits until the token is cancelled.
    Until(CancellationToken),
    /// Says nothing more, and keeps the connection.
    Hang,
    /// Closes the connection, wherever the answer is.
    Cut,
}

/// What the provider does about one request, in order. A body that is not cut is ended after the last step.
#[derive(Clone, Default)]
pub struct Script(pub Vec<Step>);

impl Script {
    /// A whole answer in those words, as OpenAI's API streams it, with what it took.
    pub fn chat(words: &[&str]) -> Self {
        let mut steps = vec![events()];
        steps.extend(words.iter().map(|word| text(word)));
        steps.extend([finish("stop"), usage(7, words.len()), done()]);
        Self(steps)
    }

    /// A refusal, with those headers.
    pub fn refusal(status: u16, headers: &[(&'static str, &str)]) -> Self {
        let mut all = vec![("content-type", "application/json".to_owned())];
        all.extend(headers.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let body = br#"{"error":{"message":"you said: something secret","type":"scripted_error","code":null}}"#;
        Self(vec![Step::Head(status, all), Step::Body(body.to_vec())])
    }
}

/// Begins a stream of events.
pub fn events() -> Step {
    Step::Head(200, vec![("content-type", "text/event-stream".to_owned())])
}

/// An event with that data.
pub fn event(data: &str) -> Step {
    Step::Body(format!("data: {data}\n\n").into_bytes())
}

/// A chunk with text.
pub fn text(text: &str) -> Step {
    Step::Body(text_bytes(text))
}

/// The bytes of a chunk with text.
pub fn text_bytes(text: &str) -> Vec<u8> {
    chunk(&format!(r#"{{"content":{}}}"#, quoted(text)), "null").into_bytes()
}

/// The chunk that says why no more is said.
pub fn finish(reason: &str) -> Step {
    Step::Body(chunk("{}", &quoted(reason)).into_bytes())
}

/// The chunk that says what the answer took.
pub fn usage(prompt: usize, completion: usize) -> Step {
    let total = prompt + completion;
    let counted = format!(r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total}}}"#);
    event(&format!(r#"{{"object":"chat.completion.chunk","choices":[],"usage":{counted}}}"#))
}

/// The end.
pub fn done() -> Step {
    event("[DONE]")
}

fn chunk(delta: &str, reason: &str) -> String {
    let choice = format!(r#"{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{reason}}}"#);
    let head = r#""id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"scripted""#;
    format!("data: {{{head},\"choices\":[{choice}],\"usage\":null}}\n\n")
}

/// A string in JSON.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            char if char < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is being answered.
    UnderWay,
    /// Its script was played to the end.
    Answered,
    /// The client closed the connection before that, then.
    Left(Instant),
}

/// A request, and what became of it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How many came before it.
    pub number: usize,
    /// Its first line and its headers.
    pub head: String,
    /// Its body.
    pub body: Vec<u8>,
    /// How far it has come.
    pub fate: Fate,
    sent: Arc<AtomicUsize>,
}

impl Seen {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Pieces of a body that were written so far.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether the client closed the connection before the script's end.
    pub fn is_left(&self) -> bool {
        matches!(self.fate, Fate::Left(_))
    }
}

type Plan = Arc<dyn Fn(&Seen) -> Script + Send + Sync>;

struct Shared {
    plan: RwLock<Plan>,
    seen: watch::Sender<Vec<Seen>>,
}

/// A provider that runs until this is dropped.
pub struct Scripted {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Scripted {
    /// One that does about each request what the plan says.
    ///
    /// # Errors
    /// `Internal` when no port is to be had.
    pub async fn start(plan: impl Fn(&Seen) -> Script + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let shared = Arc::new(Shared { plan: RwLock::new(Arc::new(plan)), seen: watch::Sender::default() });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { port, shared, accepting })
    }

    /// The address of the API, as an option of Roost has it.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Does that from now on.
    pub fn plan(&self, plan: impl Fn(&Seen) -> Script + Send + Sync + 'static) {
        *self.shared.plan.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
    }

    /// What was asked so far, in the order of arriving.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.borrow().clone()
    }

    /// Waits until what was asked is so.
    ///
    /// # Errors
    /// `Internal` when it does not become so for a minute.
    pub async fn until(&self, is: impl Fn(&[Seen]) -> bool) -> Result<Vec<Seen>> {
        let mut seen = self.shared.seen.subscribe();
        let came = timeout(PATIENCE, seen.wait_for(|seen| is(seen))).await;
        let came = came.map_err(|_| failed("the provider waited in vain"))?.map_err(failed)?;
        Ok(came.clone())
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Who drops the provider drops its connections, too.
    let mut conversations = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            came = listener.accept() => {
                if let Ok((stream, _)) = came {
                    conversations.spawn(converse(stream, Arc::clone(&shared)));
                }
            }
            Some(_) = conversations.join_next() => {}
        }
    }
}

/// Answers one request after the other, for as long as the client stays.
async fn converse(stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.into_split();
    let mut pending = Vec::new();
    while let Some((head, body)) = read(&mut reader, &mut pending).await? {
        let (script, number, sent) = shared.take(head, body);
        let ended = tokio::select! {
            played = play(&mut writer, script, &sent) => played,
            () = gone(&mut reader, &mut pending) => Err(io::ErrorKind::UnexpectedEof.into()),
        };
        shared.end(number, if ended.is_ok() { Fate::Answered } else { Fate::Left(Instant::now()) });
        if !ended? {
            break;
        }
    }
    Ok(())
}

impl Shared {
    fn take(&self, head: String, body: Vec<u8>) -> (Script, usize, Arc<AtomicUsize>) {
        let plan = Arc::clone(&self.plan.read().unwrap_or_else(PoisonError::into_inner));
        let sent = Arc::new(AtomicUsize::new(0));
        let mut seen = Seen { number: 0, head, body, fate: Fate::UnderWay, sent: Arc::clone(&sent) };
        self.seen.send_modify(|all| {
            seen.number = all.len();
            all.push(seen.clone());
        });
        (plan(&seen), seen.number, sent)
    }

    fn end(&self, number: usize, fate: Fate) {
        self.seen.send_modify(|all| all[number].fate = fate);
    }
}

/// Plays a script; `false` when the connection is not to be used again.
async fn play(writer: &mut OwnedWriteHalf, script: Script, sent: &AtomicUsize) -> io::Result<bool> {
    let mut has_begun = false;
    for step in script.0 {
        match step {
            Step::Head(status, headers) => {
                has_begun = true;
                writer.write_all(head(status, &headers).as_bytes()).await?;
            }
            Step::Body(bytes) => piece(writer, &bytes, sent).await?,
            Step::Pieces(count, every, make) => {
                let mut ticks = interval(every);
                // One that came late is made up for: the rate is what was asked for.
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                for number in 0..count {
                    ticks.tick().await;
                    piece(writer, &make(number), sent).await?;
                }
            }
            Step::Pause(duration) => tokio::time::sleep(duration).await,
            Step::Until(token) => token.cancelled().await,
            Step::Hang => std::future::pending().await,
            Step::Cut => return Ok(false),
        }
    }
    if has_begun {
        writer.write_all(b"0\r\n\r\n").await?;
    }
    Ok(has_begun)
}

fn head(status: u16, headers: &[(&'static str, String)]) -> String {
    let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>();
    format!("HTTP/1.1 {status} Scripted\r\n{headers}transfer-encoding: chunked\r\n\r\n")
}

async fn piece(writer: &mut OwnedWriteHalf, bytes: &[u8], sent: &AtomicUsize) -> io::Result<()> {
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    writer.write_all(&framed).await?;
    sent.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Resolves when the client has closed the connection; what it sends before is kept.
async fn gone(reader: &mut OwnedReadHalf, pending: &mut Vec<u8>) {
    while more(reader, pending).await.is_ok_and(|came| came) {}
}

/// The head and the body of a request; `None` when there is none any more.
async fn read(reader: &mut OwnedReadHalf, pending: &mut Vec<u8>) -> io::Result<Option<(String, Vec<u8>)>> {
    let end = loop {
        match pending.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(end) => break end + 4,
            None if more(reader, pending).await? => {}
            None => return Ok(None),
        }
    };
    let head = String::from_utf8_lossy(&pending[..end]).into_owned();
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = lengths.next().and_then(|(_, length)| length.trim().parse::<usize>().ok()).unwrap_or(0);
    while pending.len() < end + length {
        if !more(reader, pending).await? {
            return Ok(None);
        }
    }
    pending.drain(..end);
    Ok(Some((head, pending.drain(..length).collect())))
}

/// Reads more; `false` at the end.
async fn more(reader: &mut OwnedReadHalf, pending: &mut Vec<u8>) -> io::Result<bool> {
    if pending.len() > REQUEST_MAX {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let mut bytes = [0; 4096];
    let count = reader.read(&mut bytes).await?;
    pending.extend_from_slice(&bytes[..count]);
    Ok(count > 0)
}
