//! Running the system: listener, signals, and the way down.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::app::{self, App};
use crate::chat::SharedChat;
use crate::clock::Clock;
use crate::config::Config;
use crate::descriptors;
use crate::error::{Error, Result};
use crate::http::server;
use crate::http::streams::Streams;
use crate::jobs::Outbox;
use crate::memory;
use crate::realtime::sockets::Sockets;
use crate::store::sqlite::{DataDir, DataDirLock};

/// How often the house is kept.
const HOUR: Duration = Duration::from_secs(3600);

/// Serves until a signal, then drains.
///
/// # Errors
/// `Internal` with a sentence for the operator when it cannot start.
pub async fn run(config: Config) -> Result<()> {
    make_room(&config);
    let _held = hold_folder(&config)?;
    let listener = listen(&config).await?;
    let app = App::open(&config, Clock::system()).await?;
    memory::give_back();
    let mut signals = Signals::listen()?;
    announce(&config, &listener, &app)?;
    let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
    let serving = server::serve(listener, app.router.clone(), Arc::clone(&app.web), stop.clone(), abandon.clone());
    let mut serving = tokio::spawn(serving);
    let posting = tokio::spawn(Arc::clone(&app.outbox).run(stop.clone()));
    let chores = tokio::spawn(keep_house(Arc::clone(&app.chat), Arc::clone(&app.outbox), stop.clone()));
    tokio::spawn(give_back_after_many(Arc::clone(&app.sockets), app.web.streams.clone(), stop.clone()));
    tokio::select! {
        () = signals.next() => {}
        // It ends on `stop` only; living on without it would be living on deaf.
        _ = &mut serving => return Err(Error::internal("the server stopped accepting connections")),
    }
    drain(&app, &config, &mut signals, stop, abandon, serving).await;
    // It ends at once on `stop`; the store cannot be closed while it holds it.
    let _ = chores.await;
    let _ = posting.await;
    close(app).await;
    Ok(())
}

/// Takes the data folder for this server, unless the store is elsewhere: nodes may share what else lies in it.
fn hold_folder(config: &Config) -> Result<Option<DataDirLock>> {
    if app::is_shared(config) { Ok(None) } else { DataDir::prepare(&config.data)?.lock().map(Some) }
}

/// What is done now and then beside requests, until `stop`: uploads that no message holds and old deliveries are
/// removed. Cut off in its middle, it goes on where it was the next time.
async fn keep_house(chat: SharedChat, outbox: Arc<Outbox>, stop: CancellationToken) {
    let mut rounds = tokio::time::interval(HOUR);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let round = async {
        loop {
            rounds.tick().await;
            match chat.collect_loose().await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "uploads that no message held were removed"),
                Err(error) => tracing::warn!(error = %error, "uploads that no message holds could not be removed"),
            }
            if let Err(error) = chat.collect_documents().await {
                tracing::warn!(error = %error, "what is left of removed documents could not be removed");
            }
            if let Err(error) = outbox.prune().await {
                tracing::warn!(error = %error, "old deliveries could not be removed");
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = round => {}
    }
}

/// Gives back what connections used when many have left. Each thread has freed memory of its own, so
/// each has to do it; those that sleep are woken by there being more tasks than one thread takes.
async fn give_back_after_many(sockets: Arc<Sockets>, streams: Streams, stop: CancellationToken) {
    const MANY: u64 = 1000;
    let mut looks = tokio::time::interval(Duration::from_secs(5));
    let mut given_back = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        let left = sockets.stats().left_total + streams.left();
        if left - given_back >= MANY {
            given_back = left;
            let threads = tokio::runtime::Handle::current().metrics().num_workers();
            let tasks: Vec<_> = (0..threads * 8).map(|_| tokio::spawn(async { memory::give_back() })).collect();
            for task in tasks {
                let _ = task.await;
            }
        }
    }
}

/// What asks the server to end: `SIGTERM`, and `SIGINT` (Ctrl-C).
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(Error::internal);
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Closes the store, which copies its log into the database: what an operator then finds is one
/// file. When somebody still holds the store, its next start does that.
async fn close(app: App) {
    let engine = app.engine.clone();
    app.background.end().await;
    drop(app);
    engine.close().await;
}

async fn listen(config: &Config) -> Result<TcpListener> {
    TcpListener::bind(config.listen).await.map_err(|error| {
        Error::internal(format!("{} cannot be listened on: {error}; choose another --listen", config.listen))
    })
}

/// No new requests; answers under way finish; long connections end one after another; what is left
/// when the time is up, or at a second signal, is ended.
async fn drain(
    app: &App,
    config: &Config,
    signals: &mut Signals,
    stop: CancellationToken,
    abandon: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
) {
    tracing::info!(streams = app.web.streams.len(), answers = app.chat.runs_under_way(), "draining");
    app.start_draining();
    stop.cancel();
    app.chat.run_tasks().close();
    let finish = async {
        // One after the other is at once: nobody new comes to the sockets after the first step.
        app.sockets.drain(app.web.drain_spread()).await;
        let _ = serving.await;
        app.chat.run_tasks().wait().await;
    };
    let is_done = tokio::select! {
        () = finish => true,
        () = tokio::time::sleep(Duration::from_secs(config.http.drain_s)) => false,
        () = signals.next() => false,
    };
    if !is_done {
        tracing::warn!("no more waiting: what is left is ended; what had arrived of answers is kept");
        abandon.cancel();
        app.sockets.abandon();
        app.chat.stop_all_answers();
        let _ = tokio::time::timeout(Duration::from_secs(2), app.chat.run_tasks().wait()).await;
    }
    tracing::info!("stopped");
}

/// A few lines on standard output: where, what, and what to open.
fn announce(config: &Config, listener: &TcpListener, app: &App) -> Result<()> {
    let address = listener.local_addr().map_err(Error::internal)?;
    let assistant = app.chat.assistant().unwrap_or("nobody (assistant.provider is none)");
    let mut out = std::io::stdout().lock();
    let said = writeln!(
        out,
        "roost {version} listens on http://{address}\n\
         data       {data}\n\
         assistant  {assistant}\n\
         open       http://{address}/docs",
        version = env!("CARGO_PKG_VERSION"),
        data = config.data.display(),
    );
    // A closed standard output is no reason not to serve.
    let _ = said.and_then(|()| out.flush());
    if !config.listen.ip().is_loopback() {
        tracing::warn!("listening beyond this machine over plain HTTP: put a TLS proxy in front");
    }
    Ok(())
}

/// As many connections as the system allows; says so when that is fewer than the operator allows.
fn make_room(config: &Config) {
    let (limit, sockets) = (descriptors::raise(), config.sockets.connections_max as u64);
    if sockets >= limit {
        tracing::warn!(limit, sockets, "fewer files may be open (ulimit -n) than WebSocket connections are allowed");
    }
}
