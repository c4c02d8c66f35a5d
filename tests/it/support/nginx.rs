//! nginx in front of a server: as the distribution built it, with nothing set but the lines that
//! `docs/proxies.md` gives, or those of `deploy/nginx.conf`, and the paths that keep it out of the system's own.

use std::fmt::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::app::PATIENCE;
use super::outside;
use super::temp::TempDir;

/// What the documented lines say where a test has its own.
const LISTEN: &str = "listen 80;";
const SERVER: &str = "http://127.0.0.1:8080;";
/// The end of the `location`.
const END: &str = "    }\n";
/// The nodes of `deploy/nginx.conf`, and where it says its own number, which only root may write there.
const DEPLOYED: [&str; 2] = ["172.31.77.11:8080", "172.31.77.12:8080"];
const PID: &str = "pid /var/run/nginx.pid;";

/// A proxy that runs. It is ended with its test.
pub struct Nginx {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    child: Child,
    dir: TempDir,
}

impl Nginx {
    /// Starts one in front of `http://ADDRESS` with the documented lines; `more` are lines for its `location`.
    /// `None` says on standard error that the suite is left out.
    pub async fn before(server: &str, more: &str) -> Option<Self> {
        let lines = documented();
        for line in [LISTEN, SERVER, END] {
            assert!(lines.contains(line), "docs/proxies.md does not say {line}");
        }
        Self::with(lines.replacen(END, &format!("{more}\n{END}"), 1), server).await
    }

    /// Starts one as `deploy/nginx.conf` has it, in front of the servers at those two addresses.
    pub async fn deployed(servers: [&str; 2]) -> Option<Self> {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/nginx.conf");
        let mut lines = std::fs::read_to_string(page).expect("deploy/nginx.conf");
        for (there, here) in DEPLOYED.into_iter().zip(servers) {
            assert!(lines.contains(there), "deploy/nginx.conf does not say {there}");
            lines = lines.replace(there, here);
        }
        Self::start(|prefix, listen| with_paths(&lines.replace(LISTEN, listen), prefix)).await
    }

    /// The same with nothing but where to find the server.
    pub async fn bare(server: &str) -> Option<Self> {
        Self::with(format!("server {{\n{LISTEN}\nlocation / {{ proxy_pass {SERVER} }}\n}}\n"), server).await
    }

    async fn with(lines: String, server: &str) -> Option<Self> {
        let lines = lines.replace(SERVER, &format!("{server};"));
        Self::start(|prefix, listen| around(prefix, &lines.replace(LISTEN, listen))).await
    }

    /// `file` makes the configuration, given the folder and the line that says where to listen.
    async fn start(file: impl FnOnce(&Path, &str) -> String) -> Option<Self> {
        let program = outside::program("nginx", "SUITE_NGINX")?;
        let dir = TempDir::new();
        // Free a moment ago; nginx cannot choose one by itself.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        std::fs::write(dir.path().join("nginx.conf"), file(dir.path(), &format!("listen {free};")))
            .expect("a folder that can be written");
        let mut nginx = Self { url: format!("http://{free}"), child: start(program, dir.path()), dir };
        nginx.opens().await;
        Some(nginx)
    }

    async fn opens(&mut self) {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let began = Instant::now();
        while client.get(format!("{}/livez", self.url)).send().await.is_err() {
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "nginx does not start: {}", self.complaints());
            tokio::task::yield_now().await;
        }
    }

    fn complaints(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("complaints")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Asked, not killed: it ends its worker first.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn start(program: PathBuf, prefix: &Path) -> Child {
    let complaints = std::fs::File::create(prefix.join("complaints")).expect("a folder that can be written");
    let mut command = Command::new(program);
    command.arg("-p").arg(prefix).args(["-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints).spawn().expect("nginx starts")
}

/// What nginx does not start without, and its paths.
fn around(prefix: &Path, lines: &str) -> String {
    let mut text = format!("pid {}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n", prefix.display());
    text += &folders(prefix);
    text + lines + "}\n"
}

/// A whole configuration with paths that anybody may write to.
fn with_paths(whole: &str, prefix: &Path) -> String {
    assert!(whole.contains(PID) && whole.contains("http {\n"), "deploy/nginx.conf is not as it was");
    let pid = format!("pid {}/pid;\nerror_log stderr;", prefix.display());
    whole.replace(PID, &pid).replace("http {\n", &format!("http {{\n{}", folders(prefix)))
}

/// Where it puts what it does not keep in memory.
fn folders(prefix: &Path) -> String {
    let mut text = String::new();
    for module in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(text, "{module}_temp_path {}/{module};", prefix.display()).expect("memory");
    }
    text
}

/// The lines that the documentation gives.
fn documented() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/proxies.md");
    let page = std::fs::read_to_string(page).expect("docs/proxies.md");
    let (_, rest) = page.split_once("```nginx\n").expect("lines for nginx");
    rest.split_once("```").expect("an end of the lines").0.to_owned()
}
