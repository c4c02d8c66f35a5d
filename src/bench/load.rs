//! The closed loop: each client sends its next request when it has read the answer to the last.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use memchr::memmem;
use tokio::task::JoinSet;

use super::client::{Answer, Client};
use crate::error::{Error, Result};

/// Latencies in microseconds, up to a minute, to three digits.
pub type Latencies = Histogram<u64>;

/// An empty histogram.
///
/// # Panics
/// Never: its bounds are constants that the histogram takes.
pub fn latencies() -> Latencies {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are legal")
}

/// What every answer must look like.
#[derive(Clone, Debug)]
pub struct Expect {
    /// The status.
    pub status: u16,
    /// What the body must contain,
    pub needle: &'static [u8],
    /// and how often.
    pub times: usize,
}

impl Expect {
    fn check(&self, answer: &Answer<'_>) -> Result<()> {
        let found = if self.needle.is_empty() { 0 } else { memmem::find_iter(answer.body, self.needle).count() };
        if answer.status == self.status && found == self.times {
            return Ok(());
        }
        let start = String::from_utf8_lossy(&answer.body[..answer.body.len().min(300)]);
        Err(Error::internal(format!(
            "an answer was wrong: status {} where {} was expected, {} of {:?} where {} were expected; it begins: {start}",
            answer.status,
            self.status,
            found,
            String::from_utf8_lossy(self.needle),
            self.times,
        )))
    }
}

/// What the clients send: each time one of the requests, picked at random.
#[derive(Clone, Debug)]
pub struct Script {
    /// The requests' bytes.
    pub requests: Vec<Vec<u8>>,
    /// What must come back: to all of them, or to each one's own.
    pub expect: Vec<Expect>,
}

/// What one stretch of load did.
#[derive(Clone, Debug)]
pub struct Leg {
    /// Answered requests.
    pub requests: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Request to answer.
    pub latencies: Latencies,
}

impl Leg {
    /// Requests per second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// Lets `clients` clients send for `span`.
///
/// # Errors
/// The first wrong answer or broken connection ends it.
pub async fn drive(address: SocketAddr, script: &Arc<Script>, clients: usize, span: Duration) -> Result<Leg> {
    let mut connected = Vec::with_capacity(clients);
    for _ in 0..clients {
        connected.push(Client::connect(address).await.map_err(Error::internal)?);
    }
    let latencies = Arc::new(Mutex::new(latencies()));
    let start = Instant::now();
    let end = start + span;
    let mut tasks = JoinSet::new();
    for (seed, client) in connected.into_iter().enumerate() {
        tasks.spawn(repeat(client, Arc::clone(script), Dice::new(seed), end, Arc::clone(&latencies)));
    }
    while let Some(task) = tasks.join_next().await {
        task.map_err(Error::internal)??;
    }
    let elapsed = start.elapsed();
    let latencies = latencies.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Leg { requests: latencies.len(), elapsed, latencies })
}

async fn repeat(
    mut client: Client,
    script: Arc<Script>,
    mut dice: Dice,
    end: Instant,
    latencies: Arc<Mutex<Latencies>>,
) -> Result<()> {
    let mut sent = Instant::now();
    while sent < end {
        let at = dice.below(script.requests.len());
        let request = &script.requests[at];
        let answer = client.call(request).await.map_err(Error::internal)?;
        let answered = Instant::now();
        script.expect[at % script.expect.len()].check(&answer)?;
        let micros = u64::try_from((answered - sent).as_micros()).unwrap_or(u64::MAX);
        latencies.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros.max(1));
        sent = Instant::now();
    }
    Ok(())
}

/// Sends each request once, over `clients` connections at a time, and hands on what came back, in
/// the order of the requests. For preparing a run, so it is not timed.
///
/// # Errors
/// The first answer that is not a success ends it.
pub async fn send_all(address: SocketAddr, requests: Vec<Vec<u8>>, clients: usize) -> Result<Vec<Vec<u8>>> {
    let count = requests.len();
    let share = count.div_ceil(clients.max(1)).max(1);
    let mut tasks = JoinSet::new();
    let mut requests = requests.into_iter().enumerate();
    for _ in 0..count.div_ceil(share) {
        let share: Vec<_> = requests.by_ref().take(share).collect();
        tasks.spawn(send_share(address, share));
    }
    let mut answers = vec![Vec::new(); count];
    while let Some(task) = tasks.join_next().await {
        for (number, answer) in task.map_err(Error::internal)?? {
            answers[number] = answer;
        }
    }
    Ok(answers)
}

async fn send_share(address: SocketAddr, share: Vec<(usize, Vec<u8>)>) -> Result<Vec<(usize, Vec<u8>)>> {
    let mut client = Client::connect(address).await.map_err(Error::internal)?;
    let mut answers = Vec::with_capacity(share.len());
    for (number, request) in share {
        let answer = client.call(&request).await.map_err(Error::internal)?;
        if !(200..300).contains(&answer.status) {
            Expect { status: 200, needle: b"", times: 0 }.check(&answer)?;
        }
        answers.push((number, answer.body.to_vec()));
    }
    Ok(answers)
}

/// The middle of them, or 0.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

/// A cheap source of chance (xorshift), the same in every run so that runs can be compared.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The dice of that number.
    pub fn new(seed: usize) -> Self {
        Self((seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// A number below `limit`, or 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * limit as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_reach_every_side() {
        let mut dice = Dice::new(0);
        let mut seen = [0; 10];
        (0..10_000).for_each(|_| seen[dice.below(10)] += 1);
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
    }

    #[test]
    fn an_answer_is_checked_by_status_and_by_count() {
        let expect = Expect { status: 200, needle: b"\"id\":", times: 2 };
        let answer = |status, body| expect.check(&Answer { status, body });
        assert!(answer(200, br#"[{"id":1},{"id":2}]"#).is_ok());
        assert!(answer(200, br#"[{"id":1}]"#).is_err());
        assert!(answer(500, br#"[{"id":1},{"id":2}]"#).is_err());
    }
}
