//! What the clients did and were told, in the order in which it happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A message's name at its door.
pub type MessageName = String;

/// A message as a list or a follower has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its text.
    pub text: String,
    /// Who reacted, and how.
    pub reactions: BTreeSet<(String, String)>,
}

/// A conversation, by message.
pub type View = BTreeMap<MessageName, Said>;

/// What somebody does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Says something; no two messages of a run have the same text.
    Send(String),
    /// Changes the text.
    Edit(MessageName, String),
    /// Puts an emoji on it.
    React(MessageName, String),
    /// Takes it away.
    Delete(MessageName),
    /// Has read up to it.
    Read(MessageName),
}

/// What a follower is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A message.
    Sent(MessageName, Said),
    /// Its new text.
    Edited(MessageName, String),
    /// A reaction: of whom, which.
    Reacted(MessageName, String, String),
    /// It is gone.
    Deleted(MessageName),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Somebody begins to do something, and goes on until it is done or given up.
    Tries(Deed),
    /// It was acknowledged, under that message's name.
    Done(Deed, MessageName),
    /// Nobody knows whether it was done.
    GivesUp(Deed),
    /// It was refused, which no client deserved: the status, and what was said.
    Refused(Deed, u16, String),
    /// A follower comes, by a transport, with a cursor.
    Comes(&'static str, i64),
    /// A follower is told something, under that cursor.
    Told(i64, Change),
    /// A follower was told that its cursor is from elsewhere.
    Reset,
    /// Once all is over: what a node shows.
    Listed(View),
}

/// One thing that happened in a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Since the beginning of the run.
    pub at: Duration,
    /// A client, or a node.
    pub who: Arc<str>,
    /// The number of the conversation.
    pub conversation: usize,
    /// What happened.
    pub what: What,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.as_secs_f64();
        match &self.what {
            What::Listed(view) => write!(f, "{at:9.3} {} lists {} messages", self.who, view.len()),
            what => write!(f, "{at:9.3} {} {what:?}", self.who),
        }
    }
}

/// The history of a run.
#[derive(Debug)]
pub struct History {
    began: Instant,
    records: Mutex<Vec<Record>>,
    faults: Mutex<Vec<(Duration, String)>>,
}

impl History {
    /// An empty one that begins now.
    pub fn new() -> Self {
        Self { began: Instant::now(), records: Mutex::default(), faults: Mutex::default() }
    }

    /// Adds what happens now.
    pub fn add(&self, who: &Arc<str>, conversation: usize, what: What) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.push(Record { at: self.began.elapsed(), who: Arc::clone(who), conversation, what });
    }

    /// Adds what is done to the servers now.
    pub fn fault(&self, what: String) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.push((self.began.elapsed(), what));
    }

    /// Everything, by conversation.
    pub fn by_conversation(&self, count: usize) -> Vec<Vec<Record>> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let mut parts = vec![Vec::new(); count];
        records.iter().for_each(|record| parts[record.conversation].push(record.clone()));
        parts
    }

    /// Everything in the order in which it happened, one line each, with the number of the conversation.
    pub fn text(&self) -> String {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().map(|record| format!("[{}] {record}\n", record.conversation)).collect()
    }

    /// What was done to the servers.
    pub fn faults(&self) -> Vec<(Duration, String)> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
