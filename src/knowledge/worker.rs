//! The process that takes the text out of a file: it gets the file and its bounds, and gives text, within a time, or is
//! killed. It gets nothing of this process's environment, and may write no file.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use super::extract::{Bounds, Unreadable};
use crate::domain::DocumentKind;
use crate::error::{Error, Result};

/// What the worker may take.
#[derive(Clone, Debug)]
pub struct WorkerRules {
    /// The program, which is called as `<program> extract …`; empty: this one.
    pub program: PathBuf,
    /// Workers at once.
    pub at_once: usize,
    /// How long one waits for its turn.
    pub wait: Duration,
    /// How long one may work.
    pub time: Duration,
    /// Memory of one, in MiB.
    pub memory_mib: u64,
    /// Bytes of text, and pages.
    pub bounds: Bounds,
}

/// Starts workers.
#[derive(Debug)]
pub struct Workers {
    rules: WorkerRules,
    turns: Arc<Semaphore>,
}

impl Workers {
    /// None is started yet.
    pub fn new(rules: WorkerRules) -> Self {
        let turns = Arc::new(Semaphore::new(rules.at_once.max(1)));
        Self { rules, turns }
    }

    /// The text of a file, or why there is none. The file is read when it is its turn: who waits holds no memory.
    ///
    /// # Errors
    /// What reading the file answers; `Busy` when too many are at work; `Internal` when the program cannot be started.
    pub async fn text(
        &self,
        kind: DocumentKind,
        file: impl Future<Output = Result<Bytes>>,
    ) -> Result<Result<String, Unreadable>> {
        let Ok(Ok(_turn)) = tokio::time::timeout(self.rules.wait, self.turns.acquire()).await else {
            return Err(Error::Busy);
        };
        let file = file.await?;
        let child = self.command(kind).spawn();
        let child = child.map_err(|error| Error::internal(format!("the extractor cannot be started: {error}")))?;
        let bytes_max = self.rules.bounds.text_bytes;
        // Dropped at the deadline, the child is killed.
        let worked = tokio::time::timeout(self.rules.time, work(child, file, bytes_max)).await;
        worked.unwrap_or(Ok(Err(Unreadable::TooCostly))).map_err(Error::internal)
    }

    fn command(&self, kind: DocumentKind) -> Command {
        let mut command = Command::new(program(&self.rules.program));
        let bounds = self.rules.bounds;
        command.args(["extract", kind.as_str()]);
        command.args(["--memory-mib", &self.rules.memory_mib.to_string()]);
        command.args(["--cpu-s", &self.rules.time.as_secs().max(1).to_string()]);
        command.args(["--text-bytes", &bounds.text_bytes.to_string(), "--pages", &bounds.pages.to_string()]);
        command.env_clear().current_dir("/").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }
}

/// The running program under a name that stays its own, also when the file was replaced by a newer one.
fn program(chosen: &std::path::Path) -> PathBuf {
    let own = std::path::Path::new("/proc/self/exe");
    match chosen.as_os_str().is_empty() {
        false => chosen.to_owned(),
        true if own.exists() => own.to_owned(),
        true => std::env::current_exe().unwrap_or_else(|_| PathBuf::from("roost")),
    }
}

async fn work(mut child: Child, file: Bytes, bytes_max: usize) -> std::io::Result<Result<String, Unreadable>> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let give = async move {
        if let Some(mut stdin) = stdin {
            // One that has seen enough reads no more: that is no failure.
            let _ = stdin.write_all(&file).await;
        }
    };
    let take = async move {
        let mut text = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(bytes_max as u64 + 1).read_to_end(&mut text).await?;
        }
        Ok::<_, std::io::Error>(text)
    };
    let ((), text) = tokio::join!(give, take);
    let text = text?;
    if text.len() > bytes_max {
        return Ok(Err(Unreadable::TooLarge));
    }
    let status = child.wait().await?;
    Ok(match status.code() {
        Some(0) => String::from_utf8(text).map_err(|_| Unreadable::Broken),
        // A library gave up in its own way.
        Some(PANICKED) => Err(Unreadable::Broken),
        Some(code) => Err(Unreadable::of_code(code).unwrap_or(Unreadable::Broken)),
        // Killed, for its memory or its time.
        None => Err(Unreadable::TooCostly),
    })
}

/// What a program exits with whose main thread panicked.
const PANICKED: i32 = 101;
