//! Where the embedded store lives: one folder, owned by one server at a time.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// File systems that reach over a network, by the magic number of `statfs(2)` (linux/magic.h and
/// the file systems' own sources). SQLite's locks and its shared-memory index cannot be trusted on
/// any of them.
pub const NETWORK_FILE_SYSTEMS: &[(u64, &str)] = &[
    (0x6969, "NFS"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x517B, "SMB"),
    (0x564C, "NCP"),
    (0x7375_7245, "Coda"),
    (0x5346_414F, "AFS"),
    (0x6B41_4653, "kAFS"),
    (0x0102_1997, "9P"),
    (0x00C3_6400, "Ceph"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x2003_0528, "OrangeFS"),
    (0x0116_1970, "GFS2"),
    (0x7461_636F, "OCFS2"),
];

/// A data folder that is there and fit for the store.
#[derive(Clone, Debug)]
pub struct DataDir(PathBuf);

/// Held by the server that owns the folder; let go when dropped, and by the kernel when the
/// process dies.
#[derive(Debug)]
pub struct DataDirLock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl DataDir {
    /// Makes the folder if need be, readable by its owner only, and checks that it is no network
    /// file system and can be written.
    ///
    /// # Errors
    /// `Internal` with a sentence for the operator.
    pub fn prepare(path: &Path) -> Result<Self> {
        let say = |what: &str, error: io::Error| {
            Error::internal(format!("the data folder {} {what}: {error}", path.display()))
        };
        if !path.is_dir() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|error| say("cannot be made", error))?;
        }
        let kind = rustix::fs::statfs(path).map_err(|error| say("cannot be read", error.into()))?.f_type;
        if let Some(name) = network_file_system(kind as u64) {
            return Err(Error::internal(format!(
                "the data folder {} is on {name}, a network file system, where SQLite loses data; \
                 use a local disk, or PostgreSQL for more than one machine",
                path.display()
            )));
        }
        let dir = Self(path.to_owned());
        let probe = dir.0.join(".write-test");
        File::create(&probe)
            .and_then(|mut file| file.write_all(b"roost"))
            .and_then(|()| fs::remove_file(&probe))
            .map_err(|error| say("cannot be written", error))?;
        Ok(dir)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The database's file.
    pub fn database(&self) -> PathBuf {
        self.0.join("roost.db")
    }

    /// Where snapshots before an upgrade or a restore go.
    pub fn snapshots(&self) -> PathBuf {
        self.0.join("snapshots")
    }

    /// Takes the folder for one server.
    ///
    /// # Errors
    /// `Internal` with a sentence for the operator when another process has it.
    pub fn lock(&self) -> Result<DataDirLock> {
        let path = self.0.join("roost.lock");
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Error::internal(format!("{} cannot be opened: {error}", path.display())))?;
        match file.try_lock() {
            Ok(()) => Ok(DataDirLock(file)),
            Err(TryLockError::WouldBlock) => Err(Error::internal(format!(
                "another roost uses the data folder {}; stop it, or choose another --data",
                self.0.display()
            ))),
            Err(TryLockError::Error(error)) => {
                Err(Error::internal(format!("{} cannot be locked: {error}", path.display())))
            }
        }
    }
}

fn network_file_system(magic: u64) -> Option<&'static str> {
    // The kernel's field is 32 bits wide and sign-extended on some platforms.
    let magic = magic & 0xFFFF_FFFF;
    NETWORK_FILE_SYSTEMS.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        assert_eq!(network_file_system(0x6969), Some("NFS"));
        assert_eq!(network_file_system(0xFFFF_FFFF_FF53_4D42), Some("CIFS"));
        // ext4, tmpfs, xfs, btrfs, overlayfs
        for local in [0xEF53, 0x0102_1994, 0x5846_5342, 0x9123_683E, 0x794C_7630] {
            assert_eq!(network_file_system(local), None);
        }
    }
}
