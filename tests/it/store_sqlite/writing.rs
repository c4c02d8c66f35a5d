//! The one writer: groups, failures that stay with their cause, a full store, a bounded log.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use roost::domain::{Conversation, ConversationId, EventId, UserId};
use roost::error::Error;
use roost::store::sqlite::SqliteOptions;
use roost::store::{Accounts, Listener, SqliteStore, StateChange, Store};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{Gate, Place, fast, wait_until};
use crate::support::store::{assert_dense, at, everything, from_guest, from_staff, live_chat, staff, texts};

/// A store with a member of staff and a chat, whose writer waits at the gate after it has committed
/// one message.
struct Held {
    place: Place,
    gate: Arc<Gate>,
    store: Arc<SqliteStore>,
    chat: Conversation,
    first: JoinHandle<()>,
}

impl Held {
    async fn new(options: &SqliteOptions) -> Self {
        let (place, gate) = (Place::new(), Arc::new(Gate::default()));
        let store = SqliteStore::open(&place.dir, options, Arc::clone(&gate) as Arc<dyn Listener>, at(0)).unwrap();
        let store = Arc::new(store);
        let chat = store.create_conversation(live_chat("a")).await.unwrap();
        store.add_user(staff("lan")).await.unwrap();
        gate.close();
        let first = send(&store, &chat, "first");
        let first = tokio::spawn(async move { first.await.unwrap() });
        wait_until("the first message", || !gate.heard.events().is_empty()).await;
        Self { place, gate, store, chat, first }
    }

    /// Waits until so many commands stand behind the gate.
    async fn queued(&self, commands: u64) {
        let queued = || self.store.writer_stats().queued.load(Ordering::Relaxed);
        wait_until("the commands to be queued", || queued() == commands).await;
    }

    /// Opens the gate when so many commands stand behind it.
    async fn release(&self, commands: u64) {
        self.queued(commands).await;
        self.gate.open();
    }

    async fn said(&self) -> Vec<String> {
        let messages = self.store.messages(self.chat.id, everything()).await.unwrap();
        texts(&messages).into_iter().map(str::to_owned).collect()
    }

    fn commits(&self) -> u64 {
        self.store.writer_stats().commits.load(Ordering::Relaxed)
    }
}

/// Starts to send without waiting for the answer.
fn send(store: &Arc<SqliteStore>, chat: &Conversation, text: &str) -> impl Future<Output = Result<(), Error>> + use<> {
    let (store, new) = (Arc::clone(store), from_guest(chat.id, text));
    async move { store.append(new).await.map(|_| ()) }
}

#[tokio::test]
async fn senders_share_a_commit() {
    let place = Place::new();
    let store = Arc::new(place.open(&SqliteOptions::default()));
    let chat = store.create_conversation(live_chat("a")).await.unwrap();
    for round in 0..5 {
        let senders = (0..64).map(|sender| send(&store, &chat, &format!("{round} {sender}")));
        assert!(join_all(senders).await.iter().all(Result::is_ok));
    }
    let stats = store.writer_stats();
    let (commits, commands) = (stats.commits.load(Ordering::Relaxed), stats.commands.load(Ordering::Relaxed));
    assert_eq!(commands, 321, "and the chat's own");
    assert!(commits < commands / 4, "{commits} commits for {commands} commands");
    assert_eq!(stats.batches.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u64>(), commits);
    assert_eq!(stats.queued.load(Ordering::Relaxed), 0);
    assert!(!stats.failing.load(Ordering::Relaxed));
    assert_dense(&store.events(chat.id, EventId::START, 1000).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_waits_is_one_commit_up_to_the_limit() {
    let held = Held::new(&SqliteOptions { batch_max: 8, ..fast() }).await;
    let before = held.commits();
    let waiting: Vec<_> = (0..20).map(|n| tokio::spawn(send(&held.store, &held.chat, &n.to_string()))).collect();
    held.release(20).await;
    for sender in waiting {
        sender.await.unwrap().unwrap();
    }
    assert_eq!(held.commits() - before, 3, "8 and 8 and 4");
}

/// A command that SQLite refuses takes the transaction with it. The others of its batch must not
/// notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_command_that_fails_does_not_harm_its_neighbours() {
    let held = Held::new(&fast()).await;
    let nobody = UserId(99);
    let store = Arc::clone(&held.store);
    let broken = from_staff(held.chat.id, nobody, "by nobody");
    let broken = tokio::spawn(async move { store.append(broken).await });
    let waiting: Vec<_> = (0..9).map(|n| tokio::spawn(send(&held.store, &held.chat, &n.to_string()))).collect();
    held.release(10).await;
    let refused = broken.await.unwrap();
    assert!(matches!(refused, Err(Error::Internal(_))), "{refused:?}");
    assert!(!held.store.writer_stats().failing.load(Ordering::Relaxed), "the storage did nothing wrong");
    for sender in waiting {
        sender.await.unwrap().unwrap();
    }
    assert_eq!(held.said().await.len(), 10);
    let log = held.store.events(held.chat.id, EventId::START, 99).await.unwrap();
    assert_dense(&log);
    assert_eq!(held.gate.heard.events(), log, "each was announced once, though the batch ran twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_command_that_panics_does_not_harm_its_neighbours() {
    fn speechless(_: &str) -> String {
        panic!("a greeting that panics, on purpose")
    }
    let held = Held::new(&fast()).await;
    let (store, chat) = (Arc::clone(&held.store), held.chat.id);
    let before = tokio::spawn(send(&held.store, &held.chat, "before"));
    held.queued(1).await;
    let broken = tokio::spawn(async move { store.transfer(chat, 0, speechless, Uuid::new_v4(), at(1)).await });
    held.queued(2).await;
    let after = tokio::spawn(send(&held.store, &held.chat, "after"));
    held.release(3).await;
    let refused = broken.await.unwrap();
    assert!(matches!(refused, Err(Error::Internal(_))), "{refused:?}");
    for sender in [before, after] {
        sender.await.unwrap().unwrap();
    }
    assert_eq!(held.said().await, ["first", "before", "after"]);
    let now = held.store.tail(chat, 9).await.unwrap().unwrap();
    assert_eq!(now.conversation.state.assigned, None, "the half that was done is undone");
    assert_dense(&now.events);
    assert_eq!(held.gate.heard.events(), now.events, "nothing of it was announced");
}

#[tokio::test]
async fn a_listener_that_panics_does_not_stop_the_writer() {
    struct Clumsy;
    impl Listener for Clumsy {
        fn committed(&self, events: &[roost::domain::Logged]) {
            assert!(events.is_empty(), "a listener that panics, on purpose");
        }
        fn removed(&self, _: ConversationId) {}
    }
    let place = Place::new();
    let store = SqliteStore::open(&place.dir, &fast(), Arc::new(Clumsy), at(0)).unwrap();
    let chat = store.create_conversation(live_chat("a")).await.unwrap();
    for text in ["one", "two"] {
        store.append(from_guest(chat.id, text)).await.expect("it was committed");
    }
    store.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_queue_answers_busy_and_stores_nothing() {
    let held = Held::new(&SqliteOptions { queue: 2, queue_wait: Duration::from_millis(20), ..fast() }).await;
    let waiting: Vec<_> = (0..2).map(|n| tokio::spawn(send(&held.store, &held.chat, &n.to_string()))).collect();
    held.queued(2).await;
    let refused = send(&held.store, &held.chat, "no room").await;
    assert!(matches!(refused, Err(Error::Busy)), "{refused:?}");
    assert_eq!(held.said().await, ["first"], "reads go on");
    held.release(2).await;
    for sender in waiting {
        sender.await.unwrap().unwrap();
    }
    assert_eq!(held.said().await.len(), 3, "who waited is stored, who was refused is not");
}

/// The write of a caller who went away stands: it may have been committed by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_hangs_up_has_sent_all_the_same() {
    let held = Held::new(&fast()).await;
    let impatient = tokio::spawn(send(&held.store, &held.chat, "and off"));
    held.queued(1).await;
    impatient.abort();
    assert!(impatient.await.unwrap_err().is_cancelled());
    held.release(1).await;
    send(&held.store, &held.chat, "next").await.unwrap();
    assert_eq!(held.said().await, ["first", "and off", "next"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn closing_commits_what_is_queued() {
    let held = Held::new(&fast()).await;
    let waiting: Vec<_> = (0..9).map(|n| tokio::spawn(send(&held.store, &held.chat, &n.to_string()))).collect();
    held.queued(9).await;
    for sender in waiting {
        sender.abort();
        assert!(sender.await.unwrap_err().is_cancelled());
    }
    held.first.abort();
    assert!(held.first.await.unwrap_err().is_cancelled());
    let store = Arc::into_inner(held.store).unwrap();
    let closing = tokio::task::spawn_blocking(|| store.close());
    held.gate.open();
    closing.await.unwrap();
    let audit = held.place.audit();
    assert!(audit.is_sound() && audit.messages == 10, "{audit}");
}

#[tokio::test]
async fn a_full_store_keeps_what_it_acknowledged_and_goes_on_when_there_is_room() {
    let place = Place::new();
    let store = Arc::new(place.open(&SqliteOptions { size_max: 1 << 20, ..fast() }));
    let (chat, old) = (live_chat("a"), live_chat("old"));
    let chat = store.create_conversation(chat).await.unwrap();
    let old = store.create_conversation(old).await.unwrap();
    let long = "x".repeat(2000);
    for n in 0..50 {
        store.append(from_guest(old.id, &format!("{n} {long}"))).await.unwrap();
    }
    let mut acknowledged = BTreeSet::new();
    let mut refused = 0;
    for round in 0.. {
        let names: Vec<_> = (0..10).map(|n| format!("{round} {n} {long}")).collect();
        let sent = join_all(names.iter().map(|text| send(&store, &chat, text))).await;
        for (text, answer) in names.into_iter().zip(sent) {
            match answer {
                Ok(()) => assert!(acknowledged.insert(text)),
                Err(Error::StorageFull) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        if refused > 0 {
            break;
        }
        assert!(round < 100, "the limit was never reached");
    }
    // What is too little for a long one may hold a few short ones.
    for n in 0.. {
        let text = format!("short {n}");
        match send(&store, &chat, &text).await {
            Ok(()) => assert!(acknowledged.insert(text)),
            Err(Error::StorageFull) => break,
            Err(other) => panic!("{other:?}"),
        }
        assert!(n < 1000, "the limit was never reached");
    }
    let stored = |messages: Vec<Arc<roost::domain::Message>>| -> BTreeSet<String> {
        messages.iter().map(|message| message.text.clone()).collect()
    };
    assert!(store.writer_stats().failing.load(Ordering::Relaxed), "and the metrics say so");
    assert_eq!(stored(store.messages(chat.id, everything()).await.unwrap()), acknowledged, "reads go on");
    let proved = store.ping().await;
    assert!(matches!(proved, Err(Error::StorageFull)), "a ping needs room, as a message does: {proved:?}");
    assert!(std::fs::metadata(place.dir.database()).unwrap().len() <= 1 << 20);

    assert!(store.remove_conversation(old.id).await.unwrap(), "what is removed makes room");
    send(&store, &chat, "room again").await.unwrap();
    assert!(!store.writer_stats().failing.load(Ordering::Relaxed));
    store.ping().await.unwrap();
    acknowledged.insert("room again".to_owned());

    Arc::into_inner(store).unwrap().close();
    let store = Arc::new(place.open(&fast()));
    for n in 0..100 {
        send(&store, &chat, &format!("later {n} {long}")).await.unwrap();
        acknowledged.insert(format!("later {n} {long}"));
    }
    assert_eq!(stored(store.messages(chat.id, everything()).await.unwrap()), acknowledged);
    assert_dense(&store.events(chat.id, EventId::START, 10_000).await.unwrap());
    Arc::into_inner(store).unwrap().close();
    assert!(place.audit().is_sound(), "{}", place.audit());
}

#[tokio::test]
async fn a_store_that_is_larger_than_its_limit_opens_and_reads() {
    let place = Place::new();
    let store = place.open(&fast());
    let chat = store.create_conversation(live_chat("a")).await.unwrap();
    store.append(from_guest(chat.id, "hello")).await.unwrap();
    store.close();
    let store = place.open(&SqliteOptions { size_max: 1, ..fast() });
    assert_eq!(texts(&store.messages(chat.id, everything()).await.unwrap()), ["hello"]);
    let refused = store.append(from_guest(chat.id, &"x".repeat(100_000))).await;
    assert!(matches!(refused, Err(Error::StorageFull)), "{refused:?}");
    assert!(store.change_state(chat.id, StateChange::Close, at(1)).await.unwrap().is_some(), "small things still fit");
    store.close();
}

/// How often the write-ahead log began anew, as its header counts it, and its size.
fn write_ahead_log(place: &Place) -> (u32, u64) {
    let file = place.folder.path().join("roost.db-wal");
    let log = std::fs::read(file).unwrap_or_default();
    let round = log.get(12..16).map_or(0, |bytes| u32::from_be_bytes(bytes.try_into().unwrap()));
    (round, log.len() as u64)
}

/// A passive checkpoint alone never catches up with writers who do not pause: the log would grow
/// for as long as they go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_write_ahead_log_begins_anew_while_writers_write() {
    const LIMIT: u64 = 64 << 10;
    let place = Place::new();
    let store = Arc::new(place.open(&SqliteOptions { wal_bytes: LIMIT, ..fast() }));
    let chat = store.create_conversation(live_chat("a")).await.unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (store, chat, stopped) = (Arc::clone(&store), chat.clone(), stopped.clone());
            tokio::spawn(async move {
                while !*stopped.borrow() {
                    send(&store, &chat, &"x".repeat(500)).await.unwrap();
                }
            })
        })
        .collect();
    let (begun, _) = write_ahead_log(&place);
    wait_until("three new beginnings", || write_ahead_log(&place).0 >= begun + 3).await;
    stop.send(true).unwrap();
    for writer in writers {
        writer.await.unwrap();
    }

    // A burst leaves a long file behind. It is cut back, or the checkpointer, which goes by its
    // size, would never rest again.
    let size = || write_ahead_log(&place).1;
    let deadline = Instant::now() + Duration::from_secs(10);
    while size() > 5 * LIMIT {
        assert!(Instant::now() < deadline, "the log stays {} bytes long", size());
        send(&store, &chat, "now and then").await.unwrap();
    }
    Arc::into_inner(store).unwrap().close();
    assert!(place.audit().is_sound());
}
