//! A process that does not outlive its starter.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::{failed, programs, wait_until};
use crate::error::{Error, Result};

/// Where a process's words go.
#[derive(Debug)]
pub enum Output<'a> {
    /// Standard output is read by the starter, standard error is the starter's own.
    Read,
    /// Standard output is read by the starter, standard error is added to a file.
    ReadBeside(&'a Path),
    /// Both are added to a file.
    File(&'a Path),
}

/// A running process in a group of its own.
#[derive(Debug)]
pub struct Running {
    pid: Pid,
    /// `None` once it has ended and was taken off the kernel's list: its number may be another's then.
    ended: Arc<Mutex<Option<ExitStatus>>>,
    stdout: Option<ChildStdout>,
}

/// A process as it is started: which program with which words, by whom, and which signal ends it when its starter is
/// gone (`KILL`, unless it has children to end).
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub command: &'a Command,
    pub user: Option<&'a str>,
    pub orphaned: &'a str,
    pub output: Output<'a>,
}

impl Running {
    /// Starts a command: its program, arguments, variables and folder; other settings of it are not taken over.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn spawn(command: &Command, output: Output<'_>) -> Result<Self> {
        Self::start(&Plan { command, user: None, orphaned: "KILL", output })
    }

    pub(super) fn start(plan: &Plan<'_>) -> Result<Self> {
        let mut command = rebuilt(plan)?;
        let name = command_name(plan.command);
        let (tell, told) = mpsc::channel();
        let ended = Arc::new(Mutex::new(None));
        let end = Arc::clone(&ended);
        // The kernel's signal comes when the *thread* ends that started the process; this one lives as long as it.
        let watch = move || match command.spawn() {
            Err(error) => drop(tell.send(Err(error))),
            Ok(mut child) => {
                let _ = tell.send(Ok((Pid::from_child(&child), child.stdout.take())));
                watch_over(&mut child, &end);
            }
        };
        std::thread::Builder::new().name("process".to_owned()).spawn(watch).map_err(Error::internal)?;
        let started = told.recv().map_err(Error::internal)?;
        let (pid, stdout) = started.map_err(|error| failed(format!("{name} does not start: {error}")))?;
        Ok(Self { pid, ended, stdout })
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// What it says, line by line, if it is read; once.
    pub fn lines(&mut self) -> Option<std::io::Lines<BufReader<ChildStdout>>> {
        Some(BufReader::new(self.stdout.take()?).lines())
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        *locked(&self.ended)
    }

    /// Sends it a signal, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        let ended = locked(&self.ended);
        if ended.is_none() {
            // It may have ended this instant; who watches it will know.
            let _ = rustix::process::kill_process(self.pid, signal);
        }
    }

    /// Sends a signal to its whole group, unless it has ended.
    pub fn signal_group(&self, signal: Signal) {
        let ended = locked(&self.ended);
        if ended.is_none() {
            let _ = rustix::process::kill_process_group(self.pid, signal);
        }
    }

    /// Stops its group without ending it, and waits until none of its threads runs. Blocks for a moment.
    pub fn freeze(&self) {
        self.signal_group(Signal::STOP);
        wait_until(super::PATIENCE, || self.ended().is_some() || is_stopped(self.pid));
    }

    /// Lets its group go on.
    pub fn thaw(&self) {
        self.signal_group(Signal::CONT);
    }

    /// Waits for its end. Blocks.
    pub fn wait(&self, longest: Duration) -> Option<ExitStatus> {
        wait_until(longest, || self.ended().is_some());
        self.ended()
    }

    /// Ends it and its group without a farewell, and waits until it has ended. Blocks for a moment.
    pub fn kill(&self) {
        self.signal_group(Signal::KILL);
        let _ = self.wait(super::PATIENCE);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for the end, and takes the process off the kernel's list only under the lock: while it is held and nothing
/// says that the process has ended, its number is its own.
fn watch_over(child: &mut Child, ended: &Mutex<Option<ExitStatus>>) {
    let pid = Pid::from_child(child);
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(WaitId::Pid(pid), options) {}
    let mut ended = locked(ended);
    *ended = child.wait().ok();
}

/// Whether each thread of a process stands still: a signal reaches them one after the other. One that is not there any
/// more stands still, too.
pub(super) fn is_stopped(pid: Pid) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).into_iter().flatten().flatten();
    let state = |folder: &Path| {
        let stat = std::fs::read_to_string(folder.join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
    };
    threads.map(|thread| state(&thread.path())).all(|state| matches!(state, None | Some('T' | 't' | 'Z' | 'X')))
}

fn command_name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn added_to(path: &Path) -> Result<File> {
    File::options().append(true).create(true).open(path).map_err(Error::internal)
}

/// The command with what ends it when its starter does.
fn rebuilt(plan: &Plan<'_>) -> Result<Command> {
    let program = Path::new(plan.command.get_program());
    let mut command = programs::command(program, plan.user, Some(plan.orphaned))?;
    command.args(plan.command.get_args());
    for (name, value) in plan.command.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(folder) = plan.command.get_current_dir() {
        command.current_dir(folder);
    }
    command.process_group(0).stdin(Stdio::null());
    match plan.output {
        Output::Read => command.stdout(Stdio::piped()),
        Output::ReadBeside(path) => command.stdout(Stdio::piped()).stderr(added_to(path)?),
        Output::File(path) => {
            let file = added_to(path)?;
            command.stderr(file.try_clone().map_err(Error::internal)?).stdout(file)
        }
    };
    Ok(command)
}
