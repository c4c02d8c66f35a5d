//! Time and identifiers are inputs. This is the only file that reads the clock or makes
//! identifiers and secrets; tests put a hand-moved clock in its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use uuid::{Builder, Uuid};

use crate::domain::Timestamp;

/// The source of instants, identifiers and secrets. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// What a test added to the system's time, in microseconds; always 0 in production.
    shift_micros: Arc<AtomicI64>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// The present instant. It may jump back when the system's clock does: order and identifiers
    /// never rest on it.
    #[expect(clippy::disallowed_methods, reason = "this is the file that the lint sends everybody to")]
    pub fn now(&self) -> Timestamp {
        let micros = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        let shifted = micros.saturating_add(self.shift_micros.load(Ordering::Relaxed));
        Timestamp(shifted).clamp(Timestamp::MIN, Timestamp::MAX)
    }

    /// Moves this clock and all its clones forward.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.shift_micros.fetch_add(by, Ordering::Relaxed);
    }

    /// Moves this clock and all its clones back, as a wrongly set system clock does.
    pub fn set_back(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.shift_micros.fetch_sub(by, Ordering::Relaxed);
    }

    /// An unguessable identifier (version 4).
    #[expect(clippy::disallowed_methods, reason = "this is the file that the lint sends everybody to")]
    pub fn uuid(&self) -> Uuid {
        Uuid::new_v4()
    }

    /// An identifier that sorts by the millisecond of `at` (version 7), for rows that are inserted
    /// in the order of time.
    pub fn ordered_uuid(&self, at: Timestamp) -> Uuid {
        let millis = u64::try_from(at.0 / 1000).unwrap_or(0);
        let random = self.uuid().into_bytes();
        let mut tail = [0; 10];
        // The fourth and fifth quarter of a version 4 identifier hold its version and variant bits;
        // these ten bytes avoid the version's, and the builder sets the variant again.
        tail[..6].copy_from_slice(&random[..6]);
        tail[6..].copy_from_slice(&random[12..]);
        Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }

    /// `N` random bytes from the operating system.
    ///
    /// # Panics
    /// When the operating system has no randomness to give: nothing that makes secrets may go on.
    #[expect(clippy::disallowed_methods, reason = "this is the file that the lint sends everybody to")]
    pub fn secret<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        bytes
    }

    /// A random word of `chars` letters and digits, 5.95 bits each.
    pub fn secret_word(&self, chars: usize) -> String {
        const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut word = String::with_capacity(chars);
        while word.len() < chars {
            // Bytes past the largest multiple of 62 are thrown away: a remainder would favour the
            // first letters.
            let bytes: [u8; 32] = self.secret();
            let fair = bytes.iter().filter(|byte| **byte < 248);
            word.extend(fair.take(chars - word.len()).map(|byte| char::from(ALPHABET[usize::from(byte % 62)])));
        }
        word
    }

    /// A random code of `digits` decimal digits.
    pub fn secret_digits(&self, digits: usize) -> String {
        let mut code = String::with_capacity(digits);
        while code.len() < digits {
            let bytes: [u8; 16] = self.secret();
            let fair = bytes.iter().filter(|byte| **byte < 250);
            code.extend(fair.take(digits - code.len()).map(|byte| char::from(b'0' + byte % 10)));
        }
        code
    }
}
