//! A place in the middle of connections: the load balancer before the nodes, and the wire between a node and a service
//! that can be cut.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// How long a target may take to accept a connection before the next one is asked.
const ACCEPT: Duration = Duration::from_millis(500);

/// What listens on a port of its own and leads each connection to the next open target.
#[derive(Debug)]
pub struct Gate {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    targets: Vec<Target>,
    next: AtomicUsize,
}

#[derive(Debug)]
struct Target {
    address: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    is_open: bool,
    /// Ends the connections that lead there.
    cut: CancellationToken,
}

impl Gate {
    /// A gate before those addresses, all of them open.
    ///
    /// # Errors
    /// The system's.
    pub async fn open(targets: &[SocketAddr]) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(Error::internal)?;
        let address = listener.local_addr().map_err(Error::internal)?;
        let target = |address: &SocketAddr| Target {
            address: *address,
            state: Mutex::new(State { is_open: true, cut: CancellationToken::new() }),
        };
        let targets = targets.iter().map(target).collect();
        let shared = Arc::new(Shared { targets, next: AtomicUsize::new(0) });
        let listening = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, listening })
    }

    /// Leads nobody new to a target.
    pub fn close(&self, target: usize) {
        self.shared.targets[target].state().is_open = false;
    }

    /// Leads nobody new to a target, and ends the connections that lead there.
    pub fn cut(&self, target: usize) {
        let mut state = self.shared.targets[target].state();
        state.is_open = false;
        state.cut.cancel();
    }

    /// Leads to a target again.
    pub fn mend(&self, target: usize) {
        let mut state = self.shared.targets[target].state();
        if state.cut.is_cancelled() {
            state.cut = CancellationToken::new();
        }
        state.is_open = true;
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.listening.abort();
        (0..self.shared.targets.len()).for_each(|target| self.cut(target));
    }
}

impl Target {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends connections that lead there, if it takes any.
    fn entrance(&self) -> Option<CancellationToken> {
        let state = self.state();
        state.is_open.then(|| state.cut.clone())
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(lead(client, Arc::clone(&shared)));
    }
}

/// Leads a client to the next target that accepts, and hangs up when there is none.
async fn lead(mut client: TcpStream, shared: Arc<Shared>) {
    let first = shared.next.fetch_add(1, Ordering::Relaxed);
    for step in 0..shared.targets.len() {
        let target = &shared.targets[(first + step) % shared.targets.len()];
        let Some(cut) = target.entrance() else { continue };
        let Ok(Ok(mut server)) = timeout(ACCEPT, TcpStream::connect(target.address)).await else { continue };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
            () = cut.cancelled() => {}
        }
        return;
    }
}
