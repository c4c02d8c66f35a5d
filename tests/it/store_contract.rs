//! The persistence contract: what every engine does, method by method. The tests know
//! [`SharedStore`] and [`Listener`](roost::store::Listener) only, so that an engine passes them by
//! being listed in [`engines`].

mod accounts;
mod at_once;
mod attachments;
mod batches;
mod budgets;
mod chats;
mod codes;
mod conversations;
mod feeds;
mod knowledge;
mod letters;
mod messages;
mod near;
mod nodes;
mod places;
mod platforms;
mod retries;
mod runs;
mod webhooks;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use roost::domain::{Conversation, ConversationId, Event, EventId, Message, User};
use roost::store::postgres::{PostgresOptions, PostgresStore};
use roost::store::sqlite::{DataDir, SqliteOptions};
use roost::store::{Listener, NewConversation, NewMessage, SharedStore, SqliteStore};

use crate::support::postgres::{self, Database};
use crate::support::store::{Recorder, at, everything, from_guest, live_chat, staff};
use crate::support::temp::TempDir;

/// The engines that have to pass: one line each. PostgreSQL where it is installed.
fn engines() -> Vec<Box<dyn Engine>> {
    let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(Embedded { folder: TempDir::new(), open: None })];
    if postgres::is_installed() {
        engines.push(Box::new(Shared { has_vectors: false, database: None, open: None }));
    }
    engines
}

/// An empty store of some kind that can be closed and opened again.
#[async_trait]
trait Engine: Send {
    /// For the report of a test that fails.
    fn name(&self) -> &'static str;

    async fn open(&mut self, listener: Arc<dyn Listener>) -> SharedStore;

    /// Called when nothing else holds the store any more.
    async fn close(&mut self);
}

/// SQLite in a temporary folder.
struct Embedded {
    folder: TempDir,
    open: Option<Arc<SqliteStore>>,
}

#[async_trait]
impl Engine for Embedded {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    async fn open(&mut self, listener: Arc<dyn Listener>) -> SharedStore {
        let dir = DataDir::prepare(self.folder.path()).unwrap();
        // What an fsync is for is shown elsewhere; here it would only cost time in every test.
        let options = SqliteOptions { fsync: false, ..SqliteOptions::default() };
        let store = Arc::new(SqliteStore::open(&dir, &options, listener, at(0)).unwrap());
        self.open = Some(Arc::clone(&store));
        store
    }

    async fn close(&mut self) {
        let store = self.open.take().and_then(Arc::into_inner).expect("a test still holds the store");
        store.close();
    }
}

/// PostgreSQL, in a database of its own.
struct Shared {
    /// On a server with pgvector.
    has_vectors: bool,
    database: Option<Database>,
    open: Option<Arc<PostgresStore>>,
}

#[async_trait]
impl Engine for Shared {
    fn name(&self) -> &'static str {
        if self.has_vectors { "pgvector" } else { "postgres" }
    }

    async fn open(&mut self, listener: Arc<dyn Listener>) -> SharedStore {
        if self.database.is_none() {
            let database = if self.has_vectors { Database::with_vectors().await } else { Database::new().await };
            self.database = Some(database);
        }
        let url = self.database.as_ref().map(|database| database.url.clone()).unwrap_or_default();
        let options = PostgresOptions { url, fsync: false, ..PostgresOptions::default() };
        let store = Arc::new(PostgresStore::open(&options, listener, at(0)).await.unwrap());
        self.open = Some(Arc::clone(&store));
        store
    }

    async fn close(&mut self) {
        let store = self.open.take().and_then(Arc::into_inner).expect("a test still holds the store");
        store.close();
    }
}

/// A store on the workbench: one engine, what it announced, and the gestures that every test makes.
struct Bench {
    engine: Box<dyn Engine>,
    store: SharedStore,
    heard: Arc<Recorder>,
    label: Label,
}

/// Says on which engine a test failed.
struct Label(&'static str);

impl Drop for Label {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("engine: {}", self.0);
        }
    }
}

/// A fresh store of each engine.
async fn benches() -> Vec<Bench> {
    let mut benches = Vec::new();
    for engine in engines() {
        benches.push(Bench::of(engine).await);
    }
    benches
}

impl Bench {
    async fn of(mut engine: Box<dyn Engine>) -> Self {
        let heard = Arc::new(Recorder::default());
        let store = engine.open(Arc::clone(&heard) as Arc<dyn Listener>).await;
        let label = Label(engine.name());
        Self { engine, store, heard, label }
    }

    /// Closes the store and opens it again, as a restart does. The listener hears on.
    async fn reopen(self) -> Self {
        let Self { mut engine, store, heard, label } = self;
        drop(store);
        engine.close().await;
        let store = engine.open(Arc::clone(&heard) as Arc<dyn Listener>).await;
        Self { engine, store, heard, label }
    }

    async fn add(&self, new: NewConversation) -> Conversation {
        self.store.create_conversation(new).await.unwrap()
    }

    async fn chat(&self, key: &str) -> Conversation {
        self.add(live_chat(key)).await
    }

    async fn append(&self, new: NewMessage) -> Arc<Message> {
        self.store.append(new).await.unwrap().message
    }

    async fn say(&self, chat: &Conversation, text: &str) -> Arc<Message> {
        self.append(from_guest(chat.id, text)).await
    }

    async fn staff(&self, name: &str) -> User {
        self.store.add_user(staff(name)).await.unwrap()
    }

    /// The conversation as it stands now.
    async fn now(&self, chat: &Conversation) -> Conversation {
        self.store.tail(chat.id, 0).await.unwrap().expect("the conversation is there").conversation
    }

    async fn messages(&self, chat: ConversationId) -> Vec<Arc<Message>> {
        self.store.messages(chat, everything()).await.unwrap()
    }

    /// The whole log.
    async fn log(&self, chat: &Conversation) -> Vec<Event> {
        self.store.events(chat.id, EventId::START, 100_000).await.unwrap()
    }
}

/// Everything that is in a folder and those in it.
fn sources(folder: &Path) -> String {
    let paths = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    paths.map(|path| if path.is_dir() { sources(&path) } else { fs::read_to_string(path).unwrap() }).collect()
}

/// A store method without a contract test does not exist.
#[test]
fn every_method_of_the_contract_is_tested_here() {
    // Said once, not by every test.
    postgres::is_there("the contract of the store on PostgreSQL");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = sources(&root.join("tests/it/store_contract"));
    let mut methods = Vec::new();
    for (file, contract) in [
        ("mod.rs", "pub trait Store:"),
        ("accounts.rs", "pub trait Accounts:"),
        ("attachments.rs", "pub trait Attachments:"),
        ("budgets.rs", "pub trait Budgets:"),
        ("knowledge.rs", "pub trait Knowledge:"),
        ("nodes.rs", "pub trait Nodes:"),
        ("webhooks.rs", "pub trait Webhooks:"),
    ] {
        let file = fs::read_to_string(root.join("src/store").join(file)).unwrap();
        let (_, contract) = file.split_once(contract).unwrap();
        let names = contract.split("async fn ").skip(1).map(|method| method.split_once('(').unwrap().0.to_owned());
        methods.extend(names);
    }
    assert!(methods.len() > 70, "the trait is not read rightly any more: {methods:?}");
    let untested: Vec<_> = methods.iter().filter(|name| !tests.contains(&format!("store.{name}("))).collect();
    assert!(untested.is_empty(), "methods without a test: {untested:?}");
}
