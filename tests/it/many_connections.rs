//! Ten thousand real sockets: what each costs the server, and that it all comes back when they leave.
//!
//! Server and clients are processes of their own, because each may hold only so many descriptors.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Client;
use roost::app;
use roost::clock::Clock;
use roost::config::Config;
use roost::descriptors;

use crate::support::app::PATIENCE;
use crate::support::left_out;
use crate::support::process::{Process, roost};
use crate::support::temp::TempDir;

const CONNECTIONS: usize = 10_000;
/// What a connection with a private channel may cost the server, in bytes of resident memory.
const EACH_MAX: usize = 8 << 10;
/// How much may stay of each when they have left: the allocator keeps some pages half full, and the server itself has
/// touched more of its own meanwhile.
const KEPT_MAX: usize = 1 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_costs_little_and_all_of_it_comes_back() {
    if descriptors::raise() < (CONNECTIONS + 500) as u64 {
        left_out("ten thousand sockets", "ulimit -n allows fewer descriptors");
        return;
    }
    let dir = TempDir::new();
    let config = Config { data: dir.path().to_owned(), ..Config::default() };
    let platform = app::open_chat(&config, Clock::system()).await.unwrap().add_platform("Acme").await.unwrap();
    let most = CONNECTIONS.to_string();
    let server =
        Process::start(dir.path(), &[("ROOST_SOCKETS_PER_ADDRESS_MAX", &most), ("ROOST_SOCKETS_PER_APP_MAX", &most)]);
    let client = Client::builder().no_proxy().build().unwrap();
    assert_eq!(sockets(&client, &server.url).await, 0);
    let before = server.resident_bytes();

    let mut clients = clients(&server, &platform.key.to_string(), &platform.secret);
    until(&client, &server.url, CONNECTIONS).await;
    let with = server.resident_bytes();
    let each = with.saturating_sub(before) / CONNECTIONS;
    eprintln!("{each} bytes a connection: {before} before, {with} with {CONNECTIONS}");
    assert!(each <= EACH_MAX, "{each} bytes a connection");

    clients.kill().expect("a running child");
    clients.wait().expect("its end");
    until(&client, &server.url, 0).await;
    let allowed = before + CONNECTIONS * KEPT_MAX;
    let began = Instant::now();
    while server.resident_bytes() > allowed {
        let now = server.resident_bytes();
        assert!(began.elapsed() < PATIENCE, "{now} bytes are still held of {with}; {before} were before them");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The generator of `roost bench`, in a process of its own; it stays until it is ended.
fn clients(server: &Process, key: &str, secret: &str) -> std::process::Child {
    let mut command: Command = roost();
    command.args(["bench", "--profile", "idle", "--seconds", "600", "--connections"]).arg(CONNECTIONS.to_string());
    command.args(["--url", &server.url.replace("http://", "ws://"), "--key", key, "--secret", secret, "--app-id", key]);
    command.stdout(Stdio::null()).spawn().expect("the binary starts")
}

/// How many connections the server has.
async fn sockets(client: &Client, url: &str) -> usize {
    let text = client.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
    let figure = text.lines().find_map(|line| line.strip_prefix("roost_sockets ")).expect("the figure");
    figure.parse::<f64>().expect("a number") as usize
}

async fn until(client: &Client, url: &str, count: usize) {
    let began = Instant::now();
    loop {
        let now = sockets(client, url).await;
        if now == count {
            return;
        }
        assert!(began.elapsed() < PATIENCE * 3, "{now} connections instead of {count}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
