//! The mark on a store that was moved to PostgreSQL: whoever started a server on it by mistake would let people write
//! where nobody reads any more.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use super::DataDir;
use crate::error::{Error, Result};

/// The file that marks the folder. While it is there no server opens the store in it.
#[derive(Debug)]
pub struct Marker(PathBuf);

impl Marker {
    /// Of that folder.
    pub fn of(dir: &DataDir) -> Self {
        Self(dir.path().join("MOVED"))
    }

    /// Its place.
    pub fn path(&self) -> &std::path::Path {
        &self.0
    }

    /// Whether it is there.
    pub fn is_there(&self) -> bool {
        self.0.exists()
    }

    /// Puts it there, on disk before this returns. `to` names the target, without its password. Blocks.
    ///
    /// # Errors
    /// `Internal` when the folder cannot be written.
    pub fn put(&self, to: &str) -> Result<()> {
        let text = format!(
            "The store in this folder was moved to {to} by `roost migrate`: servers use store.url from now on, and \
             none starts on this folder's roost.db.\n\
             To go back to it, without what was said since, remove this file.\n"
        );
        let folder = self.0.parent().unwrap_or(&self.0);
        File::create(&self.0)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| File::open(folder)?.sync_all())
            .map_err(|error| Error::internal(format!("{} cannot be written: {error}", self.0.display())))
    }

    /// Takes it away again, of a move that failed.
    pub fn remove(&self) {
        // What stays says itself what it is for and how to go on.
        let _ = fs::remove_file(&self.0);
    }
}

/// Refuses a folder that is marked.
pub(super) fn refuse(dir: &DataDir) -> Result<()> {
    let marker = Marker::of(dir);
    if !marker.is_there() {
        return Ok(());
    }
    Err(Error::internal(format!(
        "the store in {} was moved to PostgreSQL: set store.url; or, to go back to this one without what was said \
         since, remove {}",
        dir.path().display(),
        marker.path().display()
    )))
}
