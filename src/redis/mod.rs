//! Redis (or Valkey), which nodes share: one server, the master that sentinels name, or a cluster.
//!
//! Nothing rests on it. It may be away, frozen, emptied or replaced at any time, so every command has a time limit and
//! every caller something to do without an answer. After a command that was not answered in time all others fail at
//! once, until the server has given a sign of life: that it is frozen costs one wait and not one for each request.

mod address;
mod keep;
mod links;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{FromRedisValue, RedisError, RedisResult};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use self::address::Address;
use self::keep::ends_with_connection;
pub(crate) use self::keep::{Alarm, Life, keep};
pub(crate) use self::links::{Links, PING_WAIT, Pushed, is_astray};

pub use redis::{Cmd, Pipeline, Script, ScriptInvocation, cmd};

/// How Redis is reached; see the section `redis` of the configuration.
#[derive(Clone)]
pub struct RedisOptions {
    address: Address,
    prefix: String,
    wait: Duration,
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions").field("prefix", &self.prefix).field("wait", &self.wait).finish_non_exhaustive()
    }
}

impl RedisOptions {
    /// Reads `redis.url`. All keys begin with the prefix and a colon; a command is given up after `wait`.
    ///
    /// # Errors
    /// A sentence for the operator, without the password that the address may hold.
    pub fn new(url: &str, prefix: &str, wait: Duration) -> Result<Self, String> {
        Ok(Self { address: Address::parse(url)?, prefix: prefix.to_owned(), wait })
    }

    /// A key or a channel: the prefix, a colon, the name.
    pub fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }
}

/// Why a command has no answer. Whether it was run is not known unless it is `Away`.
#[derive(Debug)]
pub enum Unanswered {
    /// There is no connection at this moment; nothing was sent.
    Away,
    /// The time was over.
    Late,
    /// The server, or the connection, said no.
    Refused(RedisError),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away => f.write_str("Redis is away"),
            Self::Late => f.write_str("Redis did not answer in time"),
            // What the server says may quote what it was told.
            Self::Refused(error) => write!(f, "Redis refused: {}", error.code().unwrap_or(error.category())),
        }
    }
}

impl std::error::Error for Unanswered {}

/// Connections to Redis, kept in the background until the last clone is dropped. Cheap to clone.
#[derive(Clone)]
pub struct Redis {
    options: RedisOptions,
    line: Arc<Line>,
    _keeper: Arc<AbortOnDropHandle<()>>,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("options", &self.options).field("is_up", &self.is_up()).finish_non_exhaustive()
    }
}

impl Redis {
    /// Begins to connect, in a task of its own, and goes on trying for ever. Must be called on a runtime.
    pub fn open(options: RedisOptions) -> Self {
        Self::named(options, "commands")
    }

    /// The same server by other connections and with another time limit, so that what takes long does not keep waiting
    /// what has to be quick. `what` is named in the log.
    pub(crate) fn apart(&self, what: &'static str, wait: Duration) -> Self {
        Self::named(RedisOptions { wait, ..self.options.clone() }, what)
    }

    fn named(options: RedisOptions, what: &'static str) -> Self {
        let line = Arc::new(Line { open: watch::Sender::new(None) });
        let keeper = tokio::spawn(keep(options.clone(), what, Arc::clone(&line)));
        Self { options, line, _keeper: Arc::new(AbortOnDropHandle::new(keeper)) }
    }

    /// How the server is reached.
    pub fn options(&self) -> &RedisOptions {
        &self.options
    }

    /// A key or a channel: the prefix, a colon, the name. Keys with the same word in braces live on the same server of
    /// a cluster.
    pub fn key(&self, name: &str) -> String {
        self.options.key(name)
    }

    /// Whether commands are answered, as far as is known.
    pub fn is_up(&self) -> bool {
        self.line.open.borrow().is_some()
    }

    /// Waits until the server is there, at most for so long. Says whether it is.
    pub async fn connected(&self, at_most: Duration) -> bool {
        let mut open = self.line.open.subscribe();
        timeout(at_most, open.wait_for(Option::is_some)).await.is_ok_and(|found| found.is_ok())
    }

    /// Runs a command on the server that has `key`: one of the command's keys, all of which have to live there.
    ///
    /// # Errors
    /// `Away` at once, `Late` after the time limit, `Refused` when the server, or the answer's type, says so.
    pub async fn run<T: FromRedisValue>(&self, key: &str, command: &Cmd) -> Result<T, Unanswered> {
        self.on(key, async |mut link| command.query_async(&mut link).await).await
    }

    /// Runs a script as [`Redis::run`] runs a command; it is sent whole only to a server that does not know it.
    ///
    /// # Errors
    /// As [`Redis::run`].
    pub async fn call<T: FromRedisValue>(&self, key: &str, script: &ScriptInvocation<'_>) -> Result<T, Unanswered> {
        self.on(key, async |mut link| script.invoke_async(&mut link).await).await
    }

    /// Runs several commands in one round trip, on the server that has `key`.
    ///
    /// # Errors
    /// As [`Redis::run`].
    pub async fn pipeline<T: FromRedisValue>(&self, key: &str, commands: &Pipeline) -> Result<T, Unanswered> {
        self.on(key, async |mut link| commands.query_async(&mut link).await).await
    }

    /// Runs each command on the server that has its key, in one round trip to each server. The answers are not kept.
    ///
    /// # Errors
    /// As [`Redis::run`], when one of them failed; others may have been run.
    pub async fn run_all(&self, commands: impl Iterator<Item = (String, Cmd)>) -> Result<(), Unanswered> {
        let open = self.line.open().ok_or(Unanswered::Away)?;
        let answer = timeout(self.options.wait, open.links.run(commands)).await;
        self.line.judged(&open, answer)
    }

    async fn on<T>(
        &self,
        key: &str,
        ask: impl AsyncFnOnce(redis::aio::MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Unanswered> {
        let open = self.line.open().ok_or(Unanswered::Away)?;
        let answer = timeout(self.options.wait, ask(open.links.of(key))).await;
        self.line.judged(&open, answer)
    }
}

/// Connections that can be used.
#[derive(Clone)]
struct Open {
    links: Arc<Links>,
    alarm: Arc<Alarm>,
}

/// The connections of this moment, if there are any that answer.
struct Line {
    open: watch::Sender<Option<Open>>,
}

impl Line {
    /// How often the server is asked for a sign of life.
    const TICK: Duration = Duration::from_secs(1);

    fn open(&self) -> Option<Open> {
        self.open.borrow().clone()
    }

    /// What came of a command. One that was not answered in time closes the line until there is a sign of life.
    fn judged<T>(
        &self,
        open: &Open,
        answer: Result<RedisResult<T>, tokio::time::error::Elapsed>,
    ) -> Result<T, Unanswered> {
        match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) if !is_astray(&error) => return Err(Unanswered::Refused(error)),
            Ok(Err(_)) => open.alarm.end(),
            Err(_) => open.alarm.ring(),
        }
        self.close(&open.links);
        Err(match answer {
            Ok(Err(error)) => Unanswered::Refused(error),
            _ => Unanswered::Late,
        })
    }

    /// Closes the line, unless it leads elsewhere already.
    fn close(&self, links: &Arc<Links>) {
        self.open.send_if_modified(|open| {
            let is_this = open.as_ref().is_some_and(|open| Arc::ptr_eq(&open.links, links));
            if is_this {
                *open = None;
            }
            is_this
        });
    }
}

impl Life for Line {
    fn pushed(self: &Arc<Self>, alarm: &Arc<Alarm>) -> Pushed {
        ends_with_connection(alarm)
    }

    async fn live(&self, links: Arc<Links>, alarm: Arc<Alarm>) -> String {
        let open = Open { links: Arc::clone(&links), alarm: Arc::clone(&alarm) };
        self.open.send_replace(Some(open.clone()));
        let why = loop {
            alarm.rung(Self::TICK).await;
            if alarm.is_over() {
                break "a connection was lost, or leads to the wrong server".to_owned();
            }
            if let Err(error) = links.ping().await {
                break error.category().to_owned();
            }
            if self.open.borrow().is_none() {
                self.open.send_replace(Some(open.clone()));
            }
        };
        self.close(&links);
        why
    }
}
