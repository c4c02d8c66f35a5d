//! The command line: one file a sub-command.

mod backup;
mod chaos;
mod config;
mod extract;
mod migrate;
mod platform;
mod restore;
mod serve;
mod tail;
mod token;
mod user;
mod webhook;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::bench;
use crate::config::Config;
use crate::error::{Error, Result};

/// One chat server, many doors.
#[derive(Debug, Parser)]
#[command(name = "roost", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (the default).
    Serve(serve::Options),
    /// Show, check or explain the configuration.
    Config(config::Options),
    /// Manage platforms, the tenants of this server.
    Platform(platform::Options),
    /// Manage accounts.
    User(user::Options),
    /// Manage bearer tokens.
    Token(token::Options),
    /// Manage endpoints that are told what happens.
    Webhook(webhook::Options),
    /// Print a conversation's events, one JSON object a line.
    Tail(tail::Options),
    /// Copy the store into one file while it is in use.
    Backup(backup::Options),
    /// Put a backup in the place of the store.
    Restore(restore::Options),
    /// Move the store from SQLite to PostgreSQL while it is in use.
    Migrate(migrate::Options),
    /// Measure what a server does on this machine.
    Bench(bench::Options),
    /// The provider that the profile `runs` of `bench` starts.
    #[command(name = "bench-provider", hide = true)]
    BenchProvider(bench::ProviderOptions),
    /// Kill, freeze and cut off servers of its own, and audit what clients saw.
    Chaos(chaos::Options),
    /// Take the text out of a file: what a server calls.
    #[command(hide = true)]
    Extract(extract::Options),
}

/// What every sub-command takes.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Common {
    /// The folder that holds the store.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration file (also ROOST_CONFIG).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Common {
    /// The configuration with the flags applied.
    fn load(&self, listen: Option<SocketAddr>) -> Result<Config> {
        let from_environment = std::env::var_os("ROOST_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        let file = self.config.clone().or(from_environment);
        let mut config = Config::load(file.as_deref()).map_err(Error::internal)?;
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        if let Some(listen) = listen {
            config.listen = listen;
        }
        Ok(config)
    }
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    // Whatever is made from here on holds other people's words and this installation's secrets:
    // the store, its log, snapshots and backups are their owner's alone, wherever they lie.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let cli = Cli::parse();
    let done = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(options) => serve::run(&options),
        Command::Config(options) => config::run(&options),
        Command::Platform(options) => platform::run(&options),
        Command::User(options) => user::run(&options),
        Command::Token(options) => token::run(&options),
        Command::Webhook(options) => webhook::run(&options),
        Command::Tail(options) => tail::run(&options),
        Command::Backup(options) => backup::run(&options),
        Command::Restore(options) => restore::run(&options),
        Command::Migrate(options) => migrate::run(&options),
        Command::Bench(options) => bench::run(options),
        Command::BenchProvider(options) => bench::provide(&options),
        Command::Chaos(options) => chaos::run(&options),
        Command::Extract(options) => return extract::run(&options).unwrap_or(ExitCode::FAILURE),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Prints a line for the operator or for a script.
#[expect(clippy::print_stdout, reason = "standard output is what a command line answers on")]
fn say(line: &str) {
    println!("{line}");
}

/// Prints how a long command comes along.
#[expect(clippy::print_stderr, reason = "standard output is for what came of it")]
fn note(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::print_stderr, reason = "standard error is where a command line complains")]
fn say_error(error: &Error) {
    eprintln!("roost: {error}");
}

/// Runs a short command's async work.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::internal)?;
    runtime.block_on(work)
}
