//! PostgreSQL for the suite: one server a test process, started when the first test wants it, and a database a test,
//! copied from one that has the schema already.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, mpsc};

use roost::clock::Clock;
use roost::domain::{ConversationId, Logged};
use roost::local::{LocalPostgres, PostgresPlan};
use roost::store::Listener;
use roost::store::postgres::{PostgresOptions, PostgresStore};
use tokio::sync::OnceCell;

/// Whether the suite runs on PostgreSQL and Redis instead of SQLite: `scripts/test` does so once.
pub fn is_chosen() -> bool {
    match std::env::var("SUITE_STORE").as_deref() {
        Ok("postgres") => true,
        Ok("sqlite" | "") | Err(_) => false,
        Ok(other) => panic!("SUITE_STORE is {other:?}, neither sqlite nor postgres"),
    }
}

/// Whether `scripts/prepare` found a PostgreSQL.
pub fn is_installed() -> bool {
    std::env::var_os("SUITE_POSTGRES").is_some_and(|folder| !folder.is_empty())
}

/// Whether there is a PostgreSQL for those tests that run on every engine; says so when there is none.
pub fn is_there(suite: &str) -> bool {
    let is_there = is_installed();
    if !is_there {
        super::left_out(suite, "no PostgreSQL (SUITE_POSTGRES); scripts/test installs it and runs everything");
    }
    is_there
}

/// Whether there is a PostgreSQL with the extension pgvector; says so when there is none.
pub fn has_vectors(suite: &str) -> bool {
    super::outside::program(suite, "SUITE_PGVECTOR").is_some()
}

/// A database of a test's own, removed when the test is over.
pub struct Database {
    pub url: String,
    name: String,
    server: &'static LocalPostgres,
}

impl Database {
    /// One with the schema.
    pub async fn new() -> Self {
        TEMPLATE.get_or_init(make_template).await;
        Self::copied(Some(TEMPLATE_NAME)).await
    }

    /// One without anything in it.
    pub async fn empty() -> Self {
        Self::copied(None).await
    }

    /// One without anything in it on a server with the extension pgvector, where [`has_vectors`] says that there is one.
    pub async fn with_vectors() -> Self {
        static SERVER: OnceLock<LocalPostgres> = OnceLock::new();
        let programs = std::env::var_os("SUITE_PGVECTOR").map(PathBuf::from);
        Self::on(SERVER.get_or_init(|| start(programs)), None).await
    }

    async fn copied(template: Option<&str>) -> Self {
        Self::on(server(), template).await
    }

    async fn on(server: &'static LocalPostgres, template: Option<&str>) -> Self {
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        server.create_database(&name, template).await.expect("a database");
        Self { url: server.url(&name), name, server }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A test must not wait for it; the server and its folder go with the test process in any case.
        let _ = remover().send((self.server, std::mem::take(&mut self.name)));
    }
}

const TEMPLATE_NAME: &str = "suite_template";

static TEMPLATE: OnceCell<()> = OnceCell::const_new();

/// Makes the database that the others are copied from. Nobody may be connected to it any more when it is copied.
async fn make_template() {
    server().create_database(TEMPLATE_NAME, None).await.expect("the template");
    let options = PostgresOptions { url: server().url(TEMPLATE_NAME), pool: 1, lanes: 1, ..PostgresOptions::default() };
    let store = PostgresStore::open(&options, Arc::new(Nobody), Clock::system().now()).await.expect("the schema");
    store.close();
    drop(store);
    super::app::until_async(async || {
        let copy = server().create_database("suite_probe", Some(TEMPLATE_NAME)).await;
        copy.is_ok()
    })
    .await;
    server().drop_database("suite_probe").await.expect("the probe goes");
}

struct Nobody;

impl Listener for Nobody {
    fn committed(&self, _: &[Logged]) {}

    fn removed(&self, _: ConversationId) {}
}

/// The server of this test process. A static is never dropped: that the process ends is what ends the server.
fn server() -> &'static LocalPostgres {
    static SERVER: OnceLock<LocalPostgres> = OnceLock::new();
    SERVER.get_or_init(|| start(None))
}

fn start(programs: Option<PathBuf>) -> LocalPostgres {
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let settings = vec![
        set("shared_buffers", "64MB"),
        set("max_wal_size", "256MB"),
        set("wal_level", "minimal"),
        set("max_wal_senders", "0"),
    ];
    let plan = PostgresPlan { fsync: false, connections_max: 1000, programs, settings };
    LocalPostgres::start(&plan).expect("PostgreSQL starts")
}

/// Removes databases beside the tests.
fn remover() -> mpsc::Sender<(&'static LocalPostgres, String)> {
    static REMOVER: OnceLock<Mutex<mpsc::Sender<(&'static LocalPostgres, String)>>> = OnceLock::new();
    let sender = REMOVER.get_or_init(|| {
        let (sender, names) = mpsc::channel::<(&LocalPostgres, String)>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            for (server, name) in names {
                // What stays until the end of the process is no reason to fail a test.
                let _ = runtime.block_on(server.drop_database(&name));
            }
        });
        Mutex::new(sender)
    });
    sender.lock().expect("nobody panics with it").clone()
}
