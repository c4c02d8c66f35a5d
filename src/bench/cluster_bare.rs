//! The bare database under the profile `cluster`: connections that write batch after batch, and nothing else.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use super::load::{Dice, Leg, latencies};
use super::preload;
use crate::clock::Clock;
use crate::domain::{ConversationId, ConversationKind};
use crate::error::Result;
use crate::store::NewMessage;
use crate::store::postgres::{BareDatabase, PostgresOptions};

/// Connections, each with conversations that nobody else writes to.
pub struct Bare(Vec<Writer>);

struct Writer {
    database: BareDatabase,
    into: Vec<(ConversationId, i64)>,
    dice: Dice,
    clock: Clock,
    /// What is left of the last batch's size, which is seldom a whole number.
    owed: f64,
}

impl Bare {
    /// Connects so many times to an empty database, and makes conversations.
    ///
    /// # Errors
    /// The database's.
    pub async fn open(url: &str, connections: usize, sessions: usize, clock: &Clock) -> Result<Self> {
        let options = PostgresOptions { url: url.to_owned(), pool: 2, lanes: 1, ..PostgresOptions::default() };
        let mut writers = Vec::with_capacity(connections);
        for number in 0..connections {
            let database = BareDatabase::open(&options, clock.now()).await?;
            let key = |_| preload::new_conversation(clock, ConversationKind::LiveChat, clock.uuid().to_string());
            let new: Vec<_> = (0..sessions.div_ceil(connections).max(1)).map(key).collect();
            let into = database.create(&new).await?.into_iter().map(|id| (id, 0)).collect();
            writers.push(Writer { database, into, dice: Dice::new(number), clock: clock.clone(), owed: 0.0 });
        }
        Ok(Self(writers))
    }

    /// Writes batches of so many messages, on average, over so many connections for `span`; by the store's own
    /// statement, or by one that only writes. A latency is a batch's.
    ///
    /// # Errors
    /// The database's.
    pub async fn write(
        &mut self,
        (connections, batch): (usize, f64),
        by_function: bool,
        span: Duration,
    ) -> Result<Leg> {
        let start = Instant::now();
        let writing = self.0.iter_mut().take(connections).map(|writer| writer.write(batch, by_function, start + span));
        let mut all = Leg { requests: 0, elapsed: Duration::ZERO, latencies: latencies() };
        for leg in try_join_all(writing).await? {
            all.requests += leg.requests;
            let _ = all.latencies.add(&leg.latencies);
        }
        all.elapsed = start.elapsed();
        Ok(all)
    }
}

impl Writer {
    async fn write(&mut self, batch: f64, by_function: bool, end: Instant) -> Result<Leg> {
        let mut leg = Leg { requests: 0, elapsed: Duration::ZERO, latencies: latencies() };
        loop {
            let begun = Instant::now();
            if begun >= end {
                return Ok(leg);
            }
            self.owed += batch.max(1.0);
            let rows: Vec<_> = (0..self.owed as usize).map(|_| self.next()).collect();
            self.owed -= rows.len() as f64;
            if by_function {
                self.database.append(&rows).await?;
            } else {
                self.database.write(&rows).await?;
            }
            leg.requests += rows.len() as u64;
            leg.latencies.saturating_record(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
    }

    fn next(&mut self) -> (NewMessage, i64) {
        let at = self.dice.below(self.into.len());
        let (id, seq) = &mut self.into[at];
        *seq += 1;
        (preload::new_message(&self.clock, *id), *seq)
    }
}
