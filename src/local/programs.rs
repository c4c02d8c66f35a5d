//! Where the services' programs are, and how a program is run by another user.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::failed;
use crate::error::Result;

/// Whether PostgreSQL is installed.
pub fn has_postgres() -> bool {
    postgres_folder().is_some()
}

/// Whether Redis or Valkey is installed.
pub fn has_redis() -> bool {
    redis_server().is_some()
}

/// The folder with `initdb` and `postgres`: of the search path, else the newest of Debian's.
pub(super) fn postgres_folder() -> Option<PathBuf> {
    let is_whole = |folder: &PathBuf| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    search_path().into_iter().find(is_whole).or_else(|| debian_folders().into_iter().find(is_whole))
}

fn debian_folders() -> Vec<PathBuf> {
    let version = |folder: &Path| folder.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let found = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<_> = found.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort_by_key(|folder| std::cmp::Reverse(version(folder)));
    folders.into_iter().map(|folder| folder.join("bin")).collect()
}

/// The program `redis-server`, or its twin.
pub(super) fn redis_server() -> Option<PathBuf> {
    program("redis-server").or_else(|| program("valkey-server"))
}

/// A program of the search path.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    search_path().into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map_or_else(Vec::new, |path| std::env::split_paths(&path).collect())
}

/// Whether this process may do everything; PostgreSQL refuses to run so.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user who runs PostgreSQL when this process is root's.
pub(super) const POSTGRES_USER: &str = "postgres";

/// A command that runs a program: as somebody else when a user is given, and ended by that signal when the thread
/// that started it ends. `setpriv` (util-linux) does both and is gone then: the process is the program's own.
///
/// # Errors
/// When another user is wanted and `setpriv` is not there.
pub(super) fn command(path: &Path, user: Option<&str>, signal: Option<&str>) -> Result<Command> {
    let Some(setpriv) = program("setpriv") else {
        // Without it a child is still ended by whoever started it, unless that is killed.
        return if user.is_none() { Ok(Command::new(path)) } else { Err(failed("setpriv (util-linux) is needed")) };
    };
    let mut command = Command::new(setpriv);
    if let Some(user) = user {
        command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
    }
    if let Some(signal) = signal {
        command.args(["--pdeathsig", signal]);
    }
    if user.is_none() && signal.is_none() {
        return Ok(Command::new(path));
    }
    command.arg("--").arg(path);
    Ok(command)
}
