//! A wire that can be cut: everything passes through it to the server, until every connection is dropped
//! at once, as a network drops them.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What lies between clients and a server.
pub struct Wire {
    /// `http://127.0.0.1:PORT`: where clients connect.
    pub url: String,
    state: Arc<State>,
}

struct State {
    /// Ends the connections there are; replaced with each cut.
    scissors: Mutex<CancellationToken>,
    connections: TaskTracker,
    all: CancellationToken,
    /// What passes to the next client until its connection is dropped.
    next: Mutex<Option<usize>>,
}

impl Wire {
    /// Leads to the server at `http://ADDRESS`.
    pub async fn to(server: &str) -> Self {
        let server = server.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound listener has an address"));
        let all = CancellationToken::new();
        let scissors = Mutex::new(all.child_token());
        let state = Arc::new(State { scissors, connections: TaskTracker::new(), all, next: Mutex::new(None) });
        tokio::spawn(accept(listener, server, Arc::clone(&state)));
        Self { url, state }
    }

    /// Drops every connection; how many there were.
    pub fn cut(&self) -> usize {
        let mut scissors = self.state.scissors.lock().expect("nobody panics with it");
        scissors.cancel();
        *scissors = self.state.all.child_token();
        self.state.connections.len()
    }

    /// Drops the next connection when its client has got that many bytes: in the middle of whatever it is.
    pub fn cut_after(&self, bytes: usize) {
        *self.state.next.lock().expect("nobody panics with it") = Some(bytes);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.state.all.cancel();
    }
}

async fn accept(listener: TcpListener, server: String, state: Arc<State>) {
    let all = state.all.clone();
    let accepting = async {
        while let Ok((client, _)) = listener.accept().await {
            let cut = state.scissors.lock().expect("nobody panics with it").clone();
            let bytes = state.next.lock().expect("nobody panics with it").take();
            let carried = carry(client, server.clone(), bytes.unwrap_or(usize::MAX));
            state.connections.spawn(async move { cut.run_until_cancelled_owned(carried).await });
        }
    };
    all.run_until_cancelled(accepting).await;
}

/// Both ends are dropped when this is dropped, with whatever was on its way.
async fn carry(mut client: TcpStream, server: String, bytes: usize) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    // Small frames go at once, as they came.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.split(), server.split());
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        () = pass(&mut from_server, &mut to_client, bytes) => {}
    }
}

/// Passes on until there is nothing more, or no more bytes are left to pass.
async fn pass(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin), mut left: usize) {
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        if to.write_all(&chunk[..count.min(left)]).await.is_err() || left <= count {
            return;
        }
        left -= count;
    }
}
