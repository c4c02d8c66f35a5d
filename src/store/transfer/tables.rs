//! Which rows are moved: every table with its columns, in one order that both engines can read it in.
//!
//! A test compares these lists with PostgreSQL's schema, and so does every transfer before it begins: a column that
//! somebody adds and forgets here would be lost without a word.

use super::account_tables::OF_ACCOUNTS;
pub(super) use super::conversation_tables::HEADS;
use super::conversation_tables::OF_CONVERSATIONS;

/// How PostgreSQL's binary form of a value is made from SQLite's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Text,
    Bool,
    Uuid,
    Bytes,
    /// The words of a letter, made from its author, its receiver and its text.
    Words,
}

/// A column of the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// What it is made from, when that is not the column of that name.
    pub from: Option<&'static str>,
}

/// What tells that rows of a table have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Their conversation's head: whatever changes them adds an event, in the same transaction.
    ByHead,
    /// Nothing: they are compared.
    ByNothing,
}

/// A table of the target and where its rows come from.
#[derive(Debug)]
pub(super) struct Table {
    pub name: &'static str,
    /// SQLite's tables; the one that the columns are of is `s`.
    pub source: &'static str,
    pub columns: &'static [Column],
    /// The first so many columns are the key and the order of the rows; integers first,
    /// where the table is cut.
    pub key: usize,
    /// The first so many columns are integers and a place between rows: pieces begin and end there. With 0 the table is
    /// one piece.
    pub cut: usize,
    /// What SQLite orders by instead of the key's columns, to find an index.
    pub order: &'static [&'static str],
    pub told: Told,
}

impl Table {
    /// The target's columns, for a statement.
    pub fn names(&self) -> String {
        self.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }

    /// The source's, in the same order.
    pub fn sources(&self) -> String {
        let from = |column: &Column| column.from.map_or_else(|| format!("s.{}", column.name), str::to_owned);
        self.columns.iter().map(from).collect::<Vec<_>>().join(", ")
    }

    /// What the source is ordered by.
    pub fn source_order(&self) -> Vec<String> {
        let own = |(n, column): (usize, &Column)| match self.order.get(n) {
            Some(other) => (*other).to_owned(),
            None => column.from.map_or_else(|| format!("s.{}", column.name), str::to_owned),
        };
        self.columns[..self.key].iter().enumerate().map(own).collect()
    }

    /// What the target is ordered by: words by their bytes, as SQLite does.
    pub fn target_order(&self) -> Vec<String> {
        let by = |column: &Column| match column.kind {
            Kind::Text => format!("{} collate \"C\"", column.name),
            _ => column.name.to_owned(),
        };
        self.columns[..self.key].iter().map(by).collect()
    }
}

pub(super) const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, from: None }
}

pub(super) const fn int(name: &'static str) -> Column {
    column(name, Kind::Int)
}

pub(super) const fn text(name: &'static str) -> Column {
    column(name, Kind::Text)
}

pub(super) const fn flag(name: &'static str) -> Column {
    column(name, Kind::Bool)
}

pub(super) const fn uuid(name: &'static str) -> Column {
    column(name, Kind::Uuid)
}

pub(super) const fn bytes(name: &'static str) -> Column {
    column(name, Kind::Bytes)
}

pub(super) const fn made(name: &'static str, kind: Kind, from: &'static str) -> Column {
    Column { name, kind, from: Some(from) }
}

/// A table whose rows are found by `id`, or by another number that it begins with.
pub(super) const fn plain(name: &'static str, source: &'static str, columns: &'static [Column]) -> Table {
    Table { name, source, columns, key: 1, cut: 1, order: &[], told: Told::ByNothing }
}

/// A table that is small, whatever happens.
pub(super) const fn whole(name: &'static str, source: &'static str, columns: &'static [Column], key: usize) -> Table {
    Table { name, source, columns, key, cut: 0, order: &[], told: Told::ByNothing }
}

/// A table whose rows are found by two numbers.
pub(super) const fn paired(name: &'static str, source: &'static str, columns: &'static [Column]) -> Table {
    Table { name, source, columns, key: 2, cut: 2, order: &[], told: Told::ByNothing }
}

/// Everything that is moved, in the order in which it is copied.
pub(super) fn all() -> impl Iterator<Item = &'static Table> {
    OF_CONVERSATIONS.iter().chain(OF_ACCOUNTS)
}

/// Tables of the target that hold nothing to move: what the schema keeps of itself, the nodes that run, what is made
/// from the conversations, and the transfer's own.
pub(super) const OTHERS: &[&str] =
    &["migrations", "nodes", "conversation_keys", "transfer", "transfer_progress", "transfer_references"];

/// The tables whose conversation's head tells of every change, but for the heads.
pub(super) fn of_conversations() -> impl Iterator<Item = &'static Table> {
    all().filter(|table| table.told == Told::ByHead && table.name != HEADS.name)
}

/// The tables that are compared to find what changed.
pub(super) fn of_no_head() -> impl Iterator<Item = &'static Table> {
    all().filter(|table| table.told == Told::ByNothing)
}
