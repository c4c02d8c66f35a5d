//! The fan-out threads: what is published waits here until its subscribers' connections are written.
//!
//! A thread takes what waits, appends it to the outboxes of those who get it, and then writes each
//! connection once: under load one system call carries many frames.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use super::Published;
use super::channel::Channel;
use super::outbox::{Written, weight};
use super::shared::{Shared, lock};
use super::socket::Socket;

/// Publications in one round, at most.
const ROUND: usize = 128;

/// What a publication that waits costs beyond its frame.
const JOB_WEIGHT: usize = 128;

/// The queues of the threads.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Box<[Arc<Lane>]>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// Channels of which a publication found no room.
    lapsed: Vec<Arc<Channel>>,
    weight: usize,
    is_asleep: bool,
    is_closed: bool,
}

#[derive(Debug)]
struct Job {
    channel: Arc<Channel>,
    sequence: u64,
    published: Arc<Published>,
}

impl Job {
    fn weight(&self) -> usize {
        weight(&self.published.frame) + JOB_WEIGHT
    }
}

impl Lanes {
    /// Starts the threads. They end when this is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let start = |number: usize| {
            let lane = Arc::new(Lane::default());
            let (queue, shared) = (Arc::clone(&lane), Arc::clone(shared));
            let named = thread::Builder::new().name(format!("fan-out-{number}"));
            named.spawn(move || queue.serve(number, &shared)).map(|_| lane)
        };
        let lanes = (0..shared.rules.fanout_threads).map(start).collect::<io::Result<_>>()?;
        Ok(Self { lanes, bytes_max: shared.rules.fanout_bytes_max })
    }

    /// Queues a publication for each thread that has subscribers. The channel's lock is held, so that
    /// every queue has a channel's publications in their order.
    pub fn push(&self, channel: &Arc<Channel>, sequence: u64, published: Published) {
        let published = Arc::new(published);
        for (number, lane) in self.lanes.iter().enumerate().filter(|(number, _)| channel.has_in(*number)) {
            let job = Job { channel: Arc::clone(channel), sequence, published: Arc::clone(&published) };
            lane.push(number, job, self.bytes_max);
        }
    }

    /// What waits, in bytes.
    pub fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lock(&lane.waiting).weight).sum()
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        for lane in &self.lanes {
            lock(&lane.waiting).is_closed = true;
            lane.bell.notify_one();
        }
    }
}

impl Lane {
    fn push(&self, number: usize, job: Job, bytes_max: usize) {
        let mut waiting = lock(&self.waiting);
        if waiting.weight + job.weight() <= bytes_max {
            waiting.weight += job.weight();
            waiting.jobs.push_back(job);
        } else if job.channel.lapse(number, job.sequence) {
            waiting.lapsed.push(job.channel);
        }
        let was_asleep = std::mem::replace(&mut waiting.is_asleep, false);
        drop(waiting);
        if was_asleep {
            self.bell.notify_one();
        }
    }

    fn serve(&self, number: usize, shared: &Shared) {
        let (mut jobs, mut touched) = (Vec::with_capacity(ROUND), Vec::new());
        // What a round puts into one outbox has to leave room in it.
        let round_max = shared.rules.outbox_bytes_max / 8;
        while let Some(lapsed) = self.take(&mut jobs, round_max) {
            lapsed.iter().for_each(|channel| channel.settle(number));
            for job in jobs.drain(..) {
                job.channel.deliver(number, job.sequence, &job.published, &mut touched);
            }
            flush(&mut touched, shared);
        }
    }

    /// Waits for something to do, and takes it; `None` at the end.
    fn take(&self, jobs: &mut Vec<Job>, weight_max: usize) -> Option<Vec<Arc<Channel>>> {
        let mut waiting = lock(&self.waiting);
        while waiting.jobs.is_empty() && waiting.lapsed.is_empty() {
            if waiting.is_closed {
                return None;
            }
            waiting.is_asleep = true;
            waiting = self.bell.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.is_asleep = false;
        let mut weight = 0;
        while weight < weight_max && jobs.len() < ROUND {
            let Some(job) = waiting.jobs.pop_front() else { break };
            weight += job.weight();
            waiting.weight -= job.weight();
            jobs.push(job);
        }
        if waiting.jobs.is_empty() {
            waiting.jobs.shrink_to(ROUND);
        }
        Some(std::mem::take(&mut waiting.lapsed))
    }
}

fn flush(touched: &mut Vec<Socket>, shared: &Shared) {
    let mut written = Written::default();
    for socket in touched.drain(..) {
        socket.flush_counted(&mut written);
    }
    touched.shrink_to(ROUND * 16);
    shared.figures.wrote(written);
}
