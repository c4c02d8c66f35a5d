//! Debian's Chromium without a window, and a website for it to be on.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use axum::Router;
use axum::response::Html;
use axum::routing::{get, post};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::app::PATIENCE;
use super::outside;
use super::temp::TempDir;

/// The browser, or `None` when the suite is left out.
pub fn installed() -> Option<PathBuf> {
    outside::program("browser", "SUITE_CHROMIUM")
}

/// A browser with nothing in its memory, which finds no host but this machine.
fn command(program: &Path, profile: &TempDir) -> Command {
    let mut command = Command::new(program);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.args(["--disable-default-apps", "--disable-extensions"]);
    command.arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1");
    command.arg(format!("--user-data-dir={}", profile.path().display())).env("TMPDIR", profile.path());
    // It talks to itself about desktops that a server does not have.
    command.stderr(Stdio::null()).stdin(Stdio::null());
    command
}

/// What a page became after its scripts had run, and every address that it asked for.
pub struct Rendered {
    pub html: String,
    pub requests: Vec<String>,
}

/// Opens a page, lets its scripts run, and closes it.
pub fn render(program: &Path, origin: &str, path: &str) -> Rendered {
    let profile = TempDir::new();
    let log = profile.path().join("network.json");
    let mut command = command(program, &profile);
    command.arg(format!("--log-net-log={}", log.display()));
    // Virtual: it passes as fast as the page has nothing to do, and stands while it waits for an answer.
    command.args(["--virtual-time-budget=10000", "--dump-dom"]).arg(format!("{origin}{path}"));
    let output = tokio::task::block_in_place(|| command.output()).expect("the browser starts");
    assert!(output.status.success(), "the browser failed: {}", output.status);
    let log = std::fs::read_to_string(log).expect("the browser keeps a log of its requests");
    Rendered { html: String::from_utf8_lossy(&output.stdout).into_owned(), requests: requested_by(origin, &log) }
}

/// The requests that pages of an origin made; those of the browser itself have no origin.
fn requested_by(origin: &str, log: &str) -> Vec<String> {
    let log: Value = serde_json::from_str(log).expect("the log is JSON");
    let all = log["events"].as_array().expect("a list of events").iter().map(|event| &event["params"]);
    let of_page = all.filter(|params| params["initiator"] == origin);
    of_page.filter_map(|params| params["url"].as_str()).map(str::to_owned).collect()
}

/// A browser that stays open.
pub struct Browser {
    child: Child,
    _profile: TempDir,
}

impl Browser {
    pub fn open(program: &Path, url: &str) -> Self {
        let profile = TempDir::new();
        let mut command = command(program, &profile);
        let child = command.arg(url).stdout(Stdio::null()).spawn().expect("the browser starts");
        Self { child, _profile: profile }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked, not killed: it ends its helpers first, which write into the profile to the last.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A website of one page on an origin of its own, which tells what its page saw.
pub struct Site {
    pub url: String,
    seen: mpsc::UnboundedReceiver<Value>,
}

impl Site {
    /// The page reports by posting JSON to `/seen`.
    pub async fn start(html: String) -> Self {
        let (tell, seen) = mpsc::unbounded_channel();
        let report = move |body: String| async move {
            let report = serde_json::from_str(&body).expect("the page reports JSON");
            // The test may be over already.
            let _ = tell.send(report);
        };
        let router = Router::new().route("/", get(move || async move { Html(html) })).route("/seen", post(report));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound listener has an address"));
        tokio::spawn(async move {
            let service = hyper_util::service::TowerToHyperService::new(router);
            while let Ok((stream, _)) = listener.accept().await {
                let io = hyper_util::rt::TokioIo::new(stream);
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service.clone()));
            }
        });
        Self { url, seen }
    }

    /// The next thing that the page saw.
    pub async fn sees(&mut self) -> Value {
        let seen = tokio::time::timeout(PATIENCE, self.seen.recv()).await;
        seen.expect("the page sees something in time").expect("the site is there")
    }
}
