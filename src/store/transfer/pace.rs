//! What is said while rows are moved.

use std::time::{Duration, Instant};

use super::Told;

/// Lines are this far apart.
const APART: Duration = Duration::from_secs(1);

/// Tells how a table comes along, and how fast.
pub(super) struct Pace<'a> {
    tell: Told<'a>,
    begun: Instant,
    told: Instant,
    moved: i64,
}

impl<'a> Pace<'a> {
    pub fn new(tell: Told<'a>) -> Self {
        let now = Instant::now();
        Self { tell, begun: now, told: now, moved: 0 }
    }

    /// So many more rows; so many in all, with those of earlier runs.
    pub fn step(&mut self, name: &str, more: i64, all: i64) {
        self.moved += more;
        if self.told.elapsed() >= APART {
            self.told = Instant::now();
            (self.tell)(format!("{name}: {all} rows, {}", self.rate()));
        }
    }

    /// The last step.
    pub fn end(&mut self, name: &str, more: i64, all: i64) {
        self.moved += more;
        (self.tell)(format!("{name}: {all} rows, {}, done", self.rate()));
    }

    fn rate(&self) -> String {
        let rate = self.moved as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        format!("{rate:.0} rows/s")
    }
}
