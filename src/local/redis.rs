//! A Redis server of one's own.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Pid;

use super::postgres::last_lines;
use super::process::{Output, Running};
use super::{Folder, PATIENCE, failed, on_some_port, programs, wait_until};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// How long it may take to answer what was asked of it here.
const ANSWER: Duration = Duration::from_secs(5);

/// A Redis (or Valkey) server on 127.0.0.1 that keeps nothing on disk. All its methods that start, end or ask
/// something block.
pub struct LocalRedis {
    server: Option<Running>,
    program: PathBuf,
    port: u16,
    word: String,
    // Last: the server ends before its folder goes.
    folder: Folder,
}

impl LocalRedis {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When neither Redis nor Valkey is installed, or it does not start.
    pub fn start() -> Result<Self> {
        let program = programs::redis_server().ok_or_else(|| failed("neither Redis nor Valkey is installed"))?;
        let (folder, word) = (Folder::new("redis")?, Clock::system().secret_word(24));
        let mut made = Self { server: None, program, port: 0, word, folder };
        let (server, port) = on_some_port(|port| Ok((made.serve(port)?, port)))?;
        (made.server, made.port) = (Some(server), port);
        Ok(made)
    }

    /// Its address: `redis://:password@127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}", self.word, self.port)
    }

    /// Its process, if it runs.
    pub fn pid(&self) -> Option<Pid> {
        self.server.as_ref().map(Running::pid)
    }

    /// `SIGKILL`: all it held is lost.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts it again on the same port, empty.
    ///
    /// # Errors
    /// As [`LocalRedis::start`].
    pub fn start_again(&mut self) -> Result<()> {
        self.server = None;
        self.server = Some(self.serve(self.port)?);
        Ok(())
    }

    /// Stops it without ending it.
    pub fn freeze(&self) {
        self.server.iter().for_each(Running::freeze);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.server.iter().for_each(Running::thaw);
    }

    /// Removes all it holds.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn flush(&self) -> Result<()> {
        self.ask(self.port, "FLUSHALL\r\n", "+OK\r\n+OK\r\n").map_err(Error::internal)
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn serve(&self, port: u16) -> Result<Running> {
        let (file, log) = (self.folder.path().join("redis.conf"), self.folder.path().join("log"));
        // In a file, because everybody sees a command's words.
        let settings = format!(
            "bind 127.0.0.1\nport {port}\nrequirepass {}\nsave \"\"\nappendonly no\ndir {}\nmaxclients 10000\n",
            self.word,
            self.folder.path().display(),
        );
        fs::write(&file, settings).map_err(Error::internal)?;
        let mut command = Command::new(&self.program);
        command.arg(&file);
        let server = Running::spawn(&command, Output::File(&log))?;
        let answers = || self.ask(port, "PING\r\n", "+OK\r\n+PONG\r\n").is_ok();
        if wait_until(PATIENCE, || server.ended().is_some() || answers()) && server.ended().is_none() {
            return Ok(server);
        }
        Err(failed(format!("Redis does not start: {}", last_lines(&self.log()))))
    }

    /// Says the password and one command, and compares what comes back.
    fn ask(&self, port: u16, command: &str, want: &str) -> std::io::Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(format!("AUTH {}\r\n{command}", self.word).as_bytes())?;
        let mut answer = vec![0; want.len()];
        stream.read_exact(&mut answer)?;
        if answer == want.as_bytes() { Ok(()) } else { Err(std::io::Error::other("an unexpected answer")) }
    }
}
