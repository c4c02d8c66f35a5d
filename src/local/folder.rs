//! A folder that is removed, also when its owner is killed.

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::{failed, programs};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// Waits for the end of its input, which comes when the folder's owner ends in whatever way, and removes the folder
/// then; a service that is ending may write into it a little longer.
const JANITOR: &str = r#"read -r _; for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do rm -rf -- "$1" && exit; sleep 1; done"#;

/// A folder for a service.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    janitor: Child,
    _alive: Option<ChildStdin>,
}

impl Folder {
    /// Makes a folder of a random name that only this user can read.
    ///
    /// # Errors
    /// When the temporary folder cannot be written.
    pub fn new(kind: &str) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        use std::os::unix::process::CommandExt as _;
        let path = std::env::temp_dir().join(format!("roost-{kind}-{}", Clock::system().uuid().simple()));
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(Error::internal)?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", JANITOR, "janitor"]).arg(&path);
        // A group of its own: what ends its owner's group must not end it.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut janitor = command.spawn().map_err(Error::internal)?;
        let alive = janitor.stdin.take();
        Ok(Self { path, janitor, _alive: alive })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it to the user who runs PostgreSQL, when this process is root's.
    pub(super) fn give_to_postgres(&self) -> Result<()> {
        if !programs::is_root() {
            return Ok(());
        }
        let mut command = Command::new("chown");
        let status = command.args(["-R", programs::POSTGRES_USER]).arg(&self.path).status().map_err(Error::internal)?;
        if status.success() { Ok(()) } else { Err(failed("the folder cannot be given to the user postgres")) }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that is left over is no reason to fail; the janitor looked after it as long as it could matter.
        let _ = self.janitor.kill();
        let _ = self.janitor.wait();
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
