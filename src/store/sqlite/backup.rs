//! Copies of the store: an online backup, and putting one back.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::place::{DataDir, DataDirLock};
use super::verify::{Audit, audit};
use crate::domain::Timestamp;
use crate::error::{Error, Result};
use crate::store::migrate;

/// Copies the open store into `to`, as of one commit, while it is in use. The copy is one file,
/// on disk before this returns; an existing file is never overwritten.
///
/// # Errors
/// `Internal` with a sentence for the operator; no file is left behind.
pub fn backup(from: &Connection, to: &Path) -> Result<()> {
    if to.exists() {
        return Err(Error::internal(format!("{} exists already; choose another name", to.display())));
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| say(folder, &error))?;
    let part = make_part(to)?;
    let copied = copy(from, &part).and_then(|()| {
        fs::rename(&part, to).and_then(|()| File::open(folder)?.sync_all()).map_err(|error| say(to, &error))
    });
    if copied.is_err() {
        let _ = fs::remove_file(&part);
    }
    copied
}

/// [`backup`] of a data folder whose server may be running.
///
/// # Errors
/// As [`backup`], and when there is no store in the folder.
pub fn backup_file(database: &Path, to: &Path) -> Result<()> {
    let conn = read_only(database)?;
    check(&conn, database)?;
    backup(&conn, to)
}

/// An empty file beside the one that is to be: `x.db.part-1`, or the next number that is free, since
/// what has that name already may be anything.
fn make_part(to: &Path) -> Result<PathBuf> {
    const TRIES: u32 = 1000;
    for number in 1..=TRIES {
        let part = beside(to, &format!(".part-{number}"));
        match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part) {
            Ok(_) => return Ok(part),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(say(&part, &error)),
        }
    }
    Err(say(to, &"there are too many unfinished copies beside it (.part-…); remove them"))
}

/// Copies the store into an empty file.
fn copy(from: &Connection, to: &Path) -> Result<()> {
    let mut target = Connection::open(to).map_err(|error| say(to, &error))?;
    // All pages in one step: they are read in one transaction, which a writer neither waits for
    // nor disturbs. In several steps a busy writer would make it start over for ever.
    let finished =
        Backup::new(from, &mut target).and_then(|copying| copying.step(-1)).map_err(|error| say(to, &error))?;
    if !matches!(finished, StepResult::Done) {
        return Err(Error::internal(format!("{}: the store was locked, try again", to.display())));
    }
    // Out of WAL mode: one file that can be copied anywhere.
    target.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(())).map_err(|error| say(to, &error))?;
    drop(target);
    File::open(to).and_then(|file| file.sync_all()).map_err(|error| say(to, &error))
}

/// What a restore did.
#[derive(Debug)]
pub struct Restored {
    /// Where the store that was there before went.
    pub previous: Option<PathBuf>,
    /// What the check of the whole copy found, if it was asked for.
    pub audit: Option<Audit>,
}

/// How far a restore moves the numbers of events on. A client's cursor is such a number: given out
/// a second time, it would hide from whoever polls with it all that is said until the store comes
/// past it again. The number that the store before had come to may be unknown (lost with its disk),
/// so it is stepped over, by more than a busy store gives out between two backups; and for ever
/// small enough, as clients read numbers up to 2^53.
const GAP: i64 = 1_000_000;

/// Puts a backup in the place of the folder's store, which is kept under `snapshots/`. With
/// `verify` the backup's every page, reference and number is checked first. Numbers of events that
/// either store gave out are not given out again.
///
/// # Errors
/// `Internal` with a sentence for the operator when the backup is not sound; the folder is then as
/// it was.
pub fn restore(dir: &DataDir, _held: &DataDirLock, from: &Path, verify: bool, now: Timestamp) -> Result<Restored> {
    let source = read_only(from)?;
    check(&source, from)?;
    let audit = if verify {
        let found = audit(&source).map_err(|error| say(from, &error))?;
        if !found.is_sound() {
            return Err(Error::internal(format!("{} is damaged, nothing was changed: {found}", from.display())));
        }
        Some(found)
    } else {
        None
    };
    let fresh = make_part(&dir.database())?;
    let copied = copy(&source, &fresh).and_then(|()| step_over(&fresh, &dir.database()));
    if copied.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    copied?;
    let previous = put_aside(dir, now)?;
    fs::rename(&fresh, dir.database())
        .and_then(|()| File::open(dir.path())?.sync_all())
        .map_err(|error| say(&fresh, &error))?;
    Ok(Restored { previous, audit })
}

/// Moves the new store's numbers past all that it or the previous one gave out.
fn step_over(fresh: &Path, previous: &Path) -> Result<()> {
    // With its log, which is read in when it is opened. What cannot be read gave out what the gap covers.
    let given_out = open(previous, OpenFlags::SQLITE_OPEN_READ_WRITE).ok().and_then(|conn| last_event(&conn).ok());
    let step = |conn: &Connection| {
        let last = last_event(conn)?.max(given_out.unwrap_or(0));
        conn.execute("update sequences set value = ?1 where name = 'event'", [last.saturating_add(GAP)])
    };
    open(fresh, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .and_then(|conn| step(&conn).map_err(|error| say(fresh, &error)))
        .and_then(|_| File::open(fresh).and_then(|file| file.sync_all()).map_err(|error| say(fresh, &error)))
}

/// The last number that the store gave out.
fn last_event(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("select value from sequences where name = 'event'", [], |row| row.get(0))
}

/// Copies the folder's store, if there is one, among the snapshots, and leaves one file that can be
/// renamed over: there is no moment at which a crash would leave the folder without a store, for
/// which the next start would make an empty one.
fn put_aside(dir: &DataDir, now: Timestamp) -> Result<Option<PathBuf>> {
    let database = dir.database();
    if !database.exists() {
        return Ok(None);
    }
    let kept = dir.snapshots().join(format!("before-restore-{}.db", now.0));
    // Closing it, the only connection, copies the write-ahead log into the database.
    let copied = open(&database, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|conn| backup(&conn, &kept));
    if copied.is_err() {
        move_aside(dir, &kept).map_err(|error| say(&kept, &error))?;
    }
    for suffix in ["-wal", "-shm"] {
        let part = beside(&database, suffix);
        if part.exists() {
            fs::remove_file(&part).map_err(|error| say(&part, &error))?;
        }
    }
    Ok(Some(kept))
}

/// Moves what is damaged beyond a copy as it is, log and all: restoring is the cure for it.
fn move_aside(dir: &DataDir, kept: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir.snapshots())?;
    for suffix in ["-wal", "-shm", ""] {
        let part = beside(&dir.database(), suffix);
        if part.exists() {
            fs::rename(&part, beside(kept, suffix))?;
        }
    }
    Ok(())
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", file.display()))
}

/// Whether there is a store in the file, and one that this binary knows.
fn check(conn: &Connection, file: &Path) -> Result<()> {
    match migrate::check(conn, migrate::SQLITE) {
        Ok(0) => Err(say(file, &"there is no store in it")),
        Ok(_) => Ok(()),
        Err(error) => Err(say(file, &error)),
    }
}

fn read_only(file: &Path) -> Result<Connection> {
    open(file, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn open(file: &Path, how: OpenFlags) -> Result<Connection> {
    Connection::open_with_flags(file, how | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(|error| say(file, &error))
}

fn say(file: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::internal(format!("{}: {error}", file.display()))
}
