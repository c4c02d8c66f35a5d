//! The mark in a message's text by which it is known again: which publisher sent it, as which
//! of its messages, and when. And the tally of what arrived.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use memchr::memmem::Finder;

use super::load::{Latencies, latencies};
use super::pusher::Ear;
use crate::error::{Error, Result};

/// How a stamp begins. Nothing in it needs to be escaped in JSON, also not in JSON within JSON.
const MARK: &str = "@bench:";

/// A message's mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The publisher, two digits: each waits for the answer to one message before it sends the next, so that
    /// its messages have an order.
    pub lane: usize,
    /// 0, 1, 2, … of the lane.
    pub number: u64,
    /// When, in nanoseconds since the run began.
    pub nanos: u64,
}

impl Stamp {
    /// The stamp as a text of `length` bytes, or a little more when that is too short.
    pub fn text(self, length: usize) -> String {
        let Self { lane, number, nanos } = self;
        let mut text = format!("{MARK}{lane:02}:{number:08}:{nanos:015}:");
        text.extend(std::iter::repeat_n('x', length.saturating_sub(text.len())));
        text
    }

    /// The stamp in a message.
    fn find(mark: &Finder<'_>, payload: &[u8]) -> Option<Self> {
        let start = mark.find(payload)? + MARK.len();
        let digits = |from: usize, count: usize| {
            let digits = payload.get(start + from..start + from + count)?;
            digits
                .iter()
                .try_fold(0, |sum: u64, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
        };
        Some(Self { lane: digits(0, 2)? as usize, number: digits(3, 8)?, nanos: digits(12, 15)? })
    }
}

/// What arrived, of all connections.
pub struct Tally {
    /// What stamps count from.
    pub origin: Instant,
    mark: Finder<'static>,
    heard: Mutex<Heard>,
}

/// Since it was last begun anew.
#[derive(Clone)]
pub struct Heard {
    /// Messages.
    pub frames: u64,
    /// From the stamp to the arrival, in microseconds.
    pub latencies: Latencies,
    /// When the last arrived.
    pub last: Instant,
}

impl Tally {
    /// An empty one.
    pub fn new() -> Arc<Self> {
        let origin = Instant::now();
        let heard = Heard { frames: 0, latencies: latencies(), last: origin };
        Arc::new(Self { origin, mark: Finder::new(MARK), heard: Mutex::new(heard) })
    }

    /// Forgets what arrived so far.
    pub fn begin(&self) {
        let mut heard = self.lock();
        (heard.frames, heard.last) = (0, Instant::now());
        heard.latencies.reset();
    }

    /// What arrived.
    pub fn heard(&self) -> Heard {
        self.lock().clone()
    }

    /// How much arrived.
    pub fn frames(&self) -> u64 {
        self.lock().frames
    }

    /// A subscriber: it hears every lane's messages in their order, each once, or says what it did not.
    pub fn ear(self: &Arc<Self>) -> impl Ear {
        let tally = Arc::clone(self);
        let mut next: Vec<u64> = Vec::new();
        move |payload, at| {
            let Some(stamp) = Stamp::find(&tally.mark, payload) else { return Ok(false) };
            if next.len() <= stamp.lane {
                next.resize(stamp.lane + 1, 0);
            }
            expect(next[stamp.lane], stamp)?;
            next[stamp.lane] += 1;
            let sent = u128::from(stamp.nanos);
            let micros = (at - tally.origin).as_nanos().saturating_sub(sent) / 1000;
            let mut heard = tally.lock();
            heard.frames += 1;
            heard.last = at;
            heard.latencies.saturating_record((micros as u64).max(1));
            Ok(true)
        }
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn expect(number: u64, stamp: Stamp) -> Result<()> {
    if stamp.number == number {
        return Ok(());
    }
    let what = if stamp.number > number { "lost, or told too late" } else { "told twice, or too late" };
    Err(Error::internal(format!(
        "a subscriber heard message {} of publisher {} where {number} was next: something was {what}",
        stamp.number, stamp.lane
    )))
}

/// Finds stamps and cursors in messages, for who keeps its own account of them.
#[derive(Clone)]
pub struct Reader {
    mark: Finder<'static>,
    cursor: Finder<'static>,
}

impl Reader {
    /// A reader.
    pub fn new() -> Self {
        Self { mark: Finder::new(MARK), cursor: Finder::new(r#"cursor\":"#) }
    }

    /// The stamp in a message, and the cursor behind it.
    ///
    /// # Errors
    /// For a message that has a stamp and no cursor: it could not be resumed after.
    pub fn read(&self, payload: &[u8]) -> Result<Option<(Stamp, u64)>> {
        let Some(stamp) = Stamp::find(&self.mark, payload) else { return Ok(None) };
        let cursor = self.cursor.find(payload).map(|at| &payload[at + self.cursor.needle().len()..]);
        let cursor = cursor.map(|digits| {
            let digits = digits.iter().skip_while(|byte| **byte == b' ').take_while(|byte| byte.is_ascii_digit());
            digits.fold(0, |sum: u64, digit| sum.saturating_mul(10) + u64::from(digit - b'0'))
        });
        let cursor = cursor.filter(|cursor| *cursor > 0);
        cursor.map_or_else(|| Err(Error::internal("a message has no cursor")), |cursor| Ok(Some((stamp, cursor))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { lane: 7, number: 42, nanos: 123_456_789 };

    #[test]
    fn a_stamp_is_found_in_json_within_json() {
        let text = STAMP.text(200);
        assert_eq!(text.len(), 200);
        let inner = serde_json::json!({"context_text": text, "cursor": 99}).to_string();
        let message = serde_json::json!({"event": "message.sent", "data": inner}).to_string();
        assert_eq!(Reader::new().read(message.as_bytes()).unwrap(), Some((STAMP, 99)));
        assert_eq!(Reader::new().read(br#"{"event":"pusher:pong"}"#).unwrap(), None);
        assert!(Reader::new().read(STAMP.text(0).as_bytes()).is_err(), "no cursor");
    }

    #[test]
    fn a_subscriber_hears_what_is_missing_doubled_or_out_of_order() {
        let tally = Tally::new();
        let mut ear = tally.ear();
        let mut hear = |lane, number| ear(Stamp { lane, number, nanos: 0 }.text(0).as_bytes(), Instant::now());
        assert!(hear(0, 0).unwrap() && hear(3, 0).unwrap() && hear(0, 1).unwrap());
        assert!(hear(0, 3).is_err() && hear(0, 1).is_err() && hear(2, 1).is_err());
        assert!(hear(0, 2).unwrap());
        assert!(!ear(b"{}", Instant::now()).unwrap());
        assert_eq!(tally.frames(), 4);
        tally.begin();
        assert_eq!(tally.frames(), 0);
    }
}
