//! An S3 service for the suites: a server of its own from a package registry, started on a free port
//! and ended with the test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::outside;
use super::temp::TempDir;

/// A running service with one empty bucket.
pub struct S3 {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    child: Child,
    _dir: TempDir,
}

/// The bucket that is there.
pub const BUCKET: &str = "attachments";

impl S3 {
    /// Starts one; `None` says on standard error that the suite is left out.
    pub async fn start() -> Option<Self> {
        let program = outside::program("attachments in S3", "SUITE_S3_SERVER")?;
        let dir = TempDir::new();
        let started = tokio::task::spawn_blocking(move || Self::spawn(Command::new(program), dir)).await;
        let service = started.expect("the service starts");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let made = client.put(format!("{}/{BUCKET}", service.url)).send().await.expect("an answer");
        assert!(made.status().is_success(), "{made:?}");
        Some(service)
    }

    fn spawn(mut command: Command, dir: TempDir) -> Self {
        command.args(["-H", "127.0.0.1", "-p", "0"]).current_dir(dir.path()).env("TMPDIR", dir.path());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the service starts");
        let mut lines = BufReader::new(child.stderr.take().expect("standard error")).lines();
        let url = loop {
            let line = lines.next().expect("the service says where it listens").expect("text");
            if let Some((_, address)) = line.split_once("http://") {
                break format!("http://{}", address.trim());
            }
        };
        // It logs every request: unread, the pipe would fill up and stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { url, child, _dir: dir }
    }

    /// Uploads that were begun and neither finished nor aborted.
    pub async fn unfinished_uploads(&self) -> usize {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let listed = client.get(format!("{}/{BUCKET}?uploads", self.url)).send().await.expect("an answer");
        assert!(listed.status().is_success(), "{listed:?}");
        listed.text().await.expect("text").matches("<UploadId>").count()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
