//! A PostgreSQL server of one's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal};

use super::process::{Output, Plan, Running, is_stopped};
use super::{Folder, PATIENCE, TRIES, failed, on_some_port, programs, wait_until};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct PostgresPlan {
    /// Whether a commit is on disk when it is answered. Without, a crash of the machine (not of the server) loses.
    pub fsync: bool,
    /// Connections at once.
    pub connections_max: u32,
    /// The folder of its programs; `None`: of those that are installed.
    pub programs: Option<PathBuf>,
    /// More settings: name and value, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
}

impl Default for PostgresPlan {
    fn default() -> Self {
        Self { fsync: true, connections_max: 200, programs: None, settings: Vec::new() }
    }
}

/// A PostgreSQL server on 127.0.0.1, in a folder that is removed when this is dropped. All its methods that start or
/// end something block.
pub struct LocalPostgres {
    server: Option<Running>,
    programs: PathBuf,
    port: u16,
    word: String,
    // Last: the server ends before its folder goes.
    folder: Folder,
}

impl LocalPostgres {
    /// Makes a database folder, starts a server over it, and waits until it takes connections.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start; the sentence ends with what its log said last.
    pub fn start(plan: &PostgresPlan) -> Result<Self> {
        let programs = plan.programs.clone().or_else(programs::postgres_folder);
        let programs = programs.ok_or_else(|| failed("PostgreSQL is not installed"))?;
        let folder = Folder::new("postgres")?;
        let word = Clock::system().secret_word(24);
        fs::write(folder.path().join("word"), &word).map_err(Error::internal)?;
        folder.give_to_postgres()?;
        make_cluster(&programs, &folder)?;
        write_settings(&folder, plan)?;
        let mut made = Self { server: None, programs, port: 0, word, folder };
        let (server, port) = on_some_port(|port| Ok((made.serve(port)?, port)))?;
        (made.server, made.port) = (Some(server), port);
        Ok(made)
    }

    /// The address of a database: `postgres://user:password@127.0.0.1:port/name?sslmode=disable`. The database
    /// `postgres` is always there.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://roost:{}@127.0.0.1:{}/{database}?sslmode=disable", self.word, self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its processes: the server's own and those of its connections.
    pub fn pids(&self) -> Vec<Pid> {
        let all = |server: &Running| children(server.pid()).chain([server.pid()]).collect();
        self.server.as_ref().filter(|server| server.ended().is_none()).map_or_else(Vec::new, all)
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Makes a database, empty or the copy of one that nobody is connected to. The names are written into the
    /// statement as they are.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<()> {
        let template = template.unwrap_or("template0");
        self.run(&format!("create database {name} template {template}")).await
    }

    /// Removes a database, and whoever is connected to it.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        self.run(&format!("drop database if exists {name} with (force)")).await
    }

    /// Runs one statement on the database `postgres`.
    async fn run(&self, statement: &str) -> Result<()> {
        let url = self.url("postgres");
        let connecting = tokio_postgres::connect(&url, tokio_postgres::NoTls);
        let (client, connection) = connecting.await.map_err(Error::internal)?;
        let driver = tokio::spawn(connection);
        let done = client.batch_execute(statement).await.map_err(|error| failed(said(&error)));
        drop(client);
        let _ = driver.await;
        done
    }

    /// `SIGKILL` to all its processes, as a crash of the machine would be, but that what was written is there.
    pub fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            for pid in processes(&server) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
            server.kill();
        }
    }

    /// Ends it: connections are cut, what was committed is kept.
    pub fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.signal(Signal::INT);
            let _ = server.wait(PATIENCE);
        }
    }

    /// Starts it again on the same port, after a [`LocalPostgres::kill`] or [`LocalPostgres::stop`].
    ///
    /// # Errors
    /// As [`LocalPostgres::start`].
    pub fn start_again(&mut self) -> Result<()> {
        self.kill();
        // Its children may hold its memory for another moment, and then it refuses to start.
        let tries = (1..TRIES).map(|_| self.serve(self.port)).find(Result::is_ok);
        self.server = Some(tries.unwrap_or_else(|| self.serve(self.port))?);
        Ok(())
    }

    /// Stops all its processes without ending them.
    pub fn freeze(&self) {
        let all = self.signal_all(Signal::STOP);
        wait_until(PATIENCE, || all.iter().all(|pid| is_stopped(*pid)));
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    fn signal_all(&self, signal: Signal) -> Vec<Pid> {
        let all: Vec<_> = self.server.iter().flat_map(processes).collect();
        for pid in &all {
            let _ = rustix::process::kill_process(*pid, signal);
        }
        all
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn serve(&self, port: u16) -> Result<Running> {
        let data = self.folder.path().join("data");
        let mut command = Command::new(self.programs.join("postgres"));
        command.arg("-D").arg(&data).args(["-p", &port.to_string()]).current_dir(&data);
        let user = programs::is_root().then_some(programs::POSTGRES_USER);
        // At SIGQUIT it takes its children along; at SIGKILL those that wait would learn of it only later.
        let plan = Plan { command: &command, user, orphaned: "QUIT", output: Output::File(&self.log_path()) };
        let server = Running::start(&plan)?;
        let pid = server.pid().as_raw_nonzero().to_string();
        let is_up = wait_until(PATIENCE, || server.ended().is_some() || is_ready(&data, &pid));
        if is_up && server.ended().is_none() {
            return Ok(server);
        }
        Err(failed(format!("PostgreSQL does not start: {}", last_lines(&self.log()))))
    }
}

impl Drop for LocalPostgres {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The server and its children. Each child leads a group of its own, so that the server's group is the server alone;
/// the server is stopped first, so that it starts no others meanwhile.
fn processes(server: &Running) -> Vec<Pid> {
    if server.ended().is_some() {
        return Vec::new();
    }
    let parent = server.pid();
    let _ = rustix::process::kill_process(parent, Signal::STOP);
    children(parent).chain([parent]).collect()
}

/// Whose parent that process is, as far as the kernel's list of processes tells: `/proc/<pid>/stat`, whose fourth field
/// is the parent; the second, the name, may hold anything.
fn children(parent: Pid) -> impl Iterator<Item = Pid> {
    let parent = parent.as_raw_nonzero().to_string();
    let numbers = fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse::<i32>().ok()
    });
    let is_child = move |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name.split_whitespace().nth(1) == Some(parent.as_str())
    };
    numbers.filter(is_child).filter_map(Pid::from_raw)
}

/// Whether the server of that number takes connections: it notes so on the eighth line of its file.
fn is_ready(data: &Path, pid: &str) -> bool {
    let noted = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let lines: Vec<_> = noted.lines().map(str::trim).collect();
    lines.first() == Some(&pid) && lines.get(7) == Some(&"ready")
}

fn make_cluster(programs: &Path, folder: &Folder) -> Result<()> {
    let user = programs::is_root().then_some(programs::POSTGRES_USER);
    let mut command = programs::command(&programs.join("initdb"), user, None)?;
    command.args(["--username=roost", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]);
    // Whoever else is on this machine can reach the port, and a superuser of PostgreSQL runs programs.
    command.arg("--auth=password").arg(format!("--pwfile={}", folder.path().join("word").display()));
    command.arg("--pgdata").arg(folder.path().join("data")).current_dir(folder.path());
    let made = command.output().map_err(Error::internal)?;
    if made.status.success() {
        return Ok(());
    }
    Err(failed(format!("initdb fails: {}", last_lines(&String::from_utf8_lossy(&made.stderr)))))
}

fn write_settings(folder: &Folder, plan: &PostgresPlan) -> Result<()> {
    let on = |is: bool| if is { "on" } else { "off" }.to_owned();
    let mut settings = vec![
        ("listen_addresses".to_owned(), "127.0.0.1".to_owned()),
        ("unix_socket_directories".to_owned(), String::new()),
        ("max_connections".to_owned(), plan.connections_max.to_string()),
        ("fsync".to_owned(), on(plan.fsync)),
        ("full_page_writes".to_owned(), on(plan.fsync)),
        ("autovacuum_naptime".to_owned(), "10s".to_owned()),
    ];
    settings.extend(plan.settings.iter().cloned());
    let lines: String = settings.iter().map(|(name, value)| format!("{name} = '{value}'\n")).collect();
    let file = folder.path().join("data/postgresql.conf");
    let given = fs::read_to_string(&file).map_err(Error::internal)?;
    fs::write(file, given + &lines).map_err(Error::internal)
}

fn said(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string)
}

/// The end of a log, for a sentence.
pub(super) fn last_lines(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}
