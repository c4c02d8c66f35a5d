//! A folder of a test's own, gone when the test is over.

use std::path::{Path, PathBuf};

/// A folder that removes itself. Its name is random, so that suites which run side by side, or
/// again after a crash, never meet; and short, because there are sockets in it, whose paths have a limit.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        let name = uuid::Uuid::new_v4().simple().to_string();
        let path = std::env::temp_dir().join(format!("roost-test-{}", &name[..12]));
        std::fs::create_dir(&path).expect("the temporary folder can be written");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A folder left behind is no reason to fail a test that passed.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
