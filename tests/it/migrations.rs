//! The two engines keep the same things: the same migrations by number and name, the same tables, the same columns. What
//! differs is named here, with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use roost::clock::Clock;
use roost::store::SqliteStore;
use roost::store::sqlite::{DataDir, SqliteOptions};

use crate::support::postgres::{self, Database};
use crate::support::store::Recorder;
use crate::support::temp::TempDir;

/// Tables of one engine: the table, and why the other has none.
const ONLY_SQLITE: &[(&str, &str)] = &[
    ("chunk_search", "PostgreSQL indexes the words of chunks where they are (chunks.found_by)"),
    ("sequences", "PostgreSQL has sequences of its own (event_ids)"),
];
const ONLY_POSTGRES: &[(&str, &str)] =
    &[("conversation_keys", "a distributed table is unique only by its distribution key; SQLite has unique indexes")];

/// Columns of one engine, by table, and why.
const COLUMNS_ONLY_SQLITE: &[(&str, &str, &str)] =
    &[("migrations", "started_at", "a migration of PostgreSQL is one transaction: none is ever half done")];
const COLUMNS_ONLY_POSTGRES: &[(&str, &str, &str)] = &[
    ("chunks", "found_by", "an index of PostgreSQL is of a column; SQLite's is a table (chunk_search)"),
    ("conversation_counts", "slot", "one row would be fought over by every node that opens a conversation"),
    ("letter_search", "conversation_id", "a full-text index of SQLite has words and row numbers only"),
    ("letter_search", "message_id", "a full-text index of SQLite has words and row numbers only"),
    ("migrations", "works_with", "two versions of nodes run side by side on PostgreSQL"),
];

/// Columns by table.
type Schema = BTreeMap<String, BTreeSet<String>>;

#[test]
fn migrations_have_the_same_numbers_and_names() {
    let files = |engine: &str| -> Vec<String> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine);
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        files
    };
    assert_eq!(files("sqlite"), files("postgres"));
}

#[tokio::test]
async fn both_engines_have_the_same_tables_and_columns() {
    if !postgres::is_there("migrations: the same schema") {
        return;
    }
    let (sqlite, postgres) = (sqlite(), postgres_schema().await);
    let tables = |schema: &Schema| schema.keys().cloned().collect::<BTreeSet<_>>();
    let named = |list: &[(&str, &str)]| list.iter().map(|(table, _)| (*table).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(&tables(&sqlite) - &tables(&postgres), named(ONLY_SQLITE), "tables that only SQLite has");
    assert_eq!(&tables(&postgres) - &tables(&sqlite), named(ONLY_POSTGRES), "tables that only PostgreSQL has");
    let only = |one: &Schema, other: &Schema| -> BTreeSet<String> {
        let both = one.iter().filter_map(|(table, columns)| Some((table, columns, other.get(table)?)));
        both.flat_map(|(table, mine, theirs)| (mine - theirs).into_iter().map(move |c| format!("{table}.{c}")))
            .collect()
    };
    let named = |list: &[(&str, &str, &str)]| list.iter().map(|(t, c, _)| format!("{t}.{c}")).collect::<BTreeSet<_>>();
    assert_eq!(only(&sqlite, &postgres), named(COLUMNS_ONLY_SQLITE), "columns that only SQLite has");
    assert_eq!(only(&postgres, &sqlite), named(COLUMNS_ONLY_POSTGRES), "columns that only PostgreSQL has");
}

fn sqlite() -> Schema {
    let folder = TempDir::new();
    let dir = DataDir::prepare(folder.path()).unwrap();
    let listener = Arc::new(Recorder::default());
    let store = SqliteStore::open(&dir, &SqliteOptions::default(), listener, Clock::system().now()).unwrap();
    store.close();
    let reader = rusqlite::Connection::open(folder.path().join("roost.db")).unwrap();
    let mut query = reader
        .prepare(
            "select t.name, c.name from pragma_table_list t join pragma_table_info(t.name) c
             where t.schema = 'main' and t.type in ('table', 'virtual') and t.name not like 'sqlite_%'",
        )
        .unwrap();
    gathered(query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap))
}

async fn postgres_schema() -> Schema {
    let database = Database::new().await;
    let (client, connection) = tokio_postgres::connect(&database.url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let columns =
        // Made beside the migrations, where the server has pgvector.
        "select table_name::text, column_name::text from information_schema.columns
         where table_schema = 'public' and table_name <> 'chunk_vectors'";
    gathered(client.query(columns, &[]).await.unwrap().into_iter().map(|row| (row.get(0), row.get(1))))
}

fn gathered(columns: impl Iterator<Item = (String, String)>) -> Schema {
    let mut schema = Schema::new();
    for (table, column) in columns {
        schema.entry(table).or_default().insert(column);
    }
    schema
}
