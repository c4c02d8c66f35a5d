//! The hand-over between replay and live under a model checker: every order in which threads can meet.
//!
//! What is checked is the core that every transport stands on, [`roost::realtime::seam::Held`], with the
//! steps around it as `chat::listen` and the sockets take them: enter among the listeners, read the log, take
//! what was held. That the checker sees what it has to see is shown by the same steps in the wrong order.

use loom::sync::{Arc, Mutex};
use loom::thread;
use roost::realtime::seam::{Held, Lapsed};

/// Where a listener's news wait.
type Ear = Arc<Mutex<Held<u64, u64>>>;

/// What is committed, and who listens. A commit is announced after it can be read.
struct Log {
    committed: Mutex<Vec<u64>>,
    ear: Mutex<Option<Ear>>,
}

impl Log {
    fn new() -> Arc<Self> {
        Arc::new(Self { committed: Mutex::new(Vec::new()), ear: Mutex::new(None) })
    }

    fn commit(&self, event: u64) {
        self.committed.lock().unwrap().push(event);
        let ear = self.ear.lock().unwrap().clone();
        if let Some(ear) = ear {
            ear.lock().unwrap().put(Some(event), event, 1);
        }
    }

    fn listen(&self, max: usize) -> Ear {
        let ear = Arc::new(Mutex::new(Held::new(max)));
        *self.ear.lock().unwrap() = Some(Arc::clone(&ear));
        ear
    }

    fn read(&self, after: u64) -> Vec<u64> {
        self.committed.lock().unwrap().iter().copied().filter(|event| *event > after).collect()
    }
}

/// Takes what was held; back to the log when that was too much.
fn take(log: &Log, ear: &Mutex<Held<u64, u64>>, seen: &mut Vec<u64>) {
    let after = seen.last().copied().unwrap_or(0);
    let taken = ear.lock().unwrap().take(after);
    match taken {
        Ok(held) => seen.extend(held.into_iter().map(|(_, event)| event)),
        Err(Lapsed) => seen.extend(log.read(after)),
    }
}

const EVENTS: u64 = 3;

/// Two turns of taking while the writer writes, and one after it is done.
fn follow(log: &Arc<Log>, ear: &Mutex<Held<u64, u64>>, writer: thread::JoinHandle<()>, mut seen: Vec<u64>) {
    take(log, ear, &mut seen);
    take(log, ear, &mut seen);
    writer.join().unwrap();
    // The second finds what came after a lapse was told.
    take(log, ear, &mut seen);
    take(log, ear, &mut seen);
    assert_eq!(seen, (1..=EVENTS).collect::<Vec<_>>());
}

fn writing(log: &Arc<Log>) -> thread::JoinHandle<()> {
    let log = Arc::clone(log);
    thread::spawn(move || (1..=EVENTS).for_each(|event| log.commit(event)))
}

#[test]
fn who_listens_first_and_reads_then_is_told_each_event_once() {
    for room in [1, 8] {
        loom::model(move || {
            let log = Log::new();
            let writer = writing(&log);
            let ear = log.listen(room);
            let seen = log.read(0);
            follow(&log, &ear, writer, seen);
        });
    }
}

#[test]
#[should_panic(expected = "assertion `left == right` failed")]
fn who_reads_first_and_listens_then_is_caught() {
    loom::model(|| {
        let log = Log::new();
        let writer = writing(&log);
        let seen = log.read(0);
        let ear = log.listen(8);
        follow(&log, &ear, writer, seen);
    });
}

/// A subscription of a socket: held while it catches up, then everything goes straight through. What is
/// published may come late: after the log was read, or after the hold was ended.
struct Subscription {
    state: Mutex<State>,
}

struct State {
    held: Option<Held<u64, u64>>,
    after: u64,
    sent: Vec<u64>,
}

impl Subscription {
    fn publish(&self, event: u64) {
        let mut state = self.state.lock().unwrap();
        if let Some(held) = &mut state.held {
            held.put(Some(event), event, 1);
        } else if event > state.after {
            state.after = event;
            state.sent.push(event);
        }
    }

    /// Whether the hold is ended; else the log has to be read again.
    fn release(&self, after: u64) -> bool {
        let mut state = self.state.lock().unwrap();
        let Some(taken) = state.held.as_mut().map(|held| held.take(after)) else { return true };
        let Ok(taken) = taken else { return false };
        state.held = None;
        state.after = taken.last().map_or(after, |(_, event)| *event);
        state.sent.extend(taken.into_iter().map(|(_, event)| event));
        true
    }
}

fn catch_up(room: usize, forgets_where_it_was: bool) {
    loom::model(move || {
        let log = Arc::new(Mutex::new(Vec::new()));
        let held = Some(Held::new(room));
        let subscription = Arc::new(Subscription { state: Mutex::new(State { held, after: 0, sent: Vec::new() }) });
        let publisher = {
            let (log, subscription) = (Arc::clone(&log), Arc::clone(&subscription));
            thread::spawn(move || {
                for event in 1..=EVENTS {
                    log.lock().unwrap().push(event);
                    subscription.publish(event);
                }
            })
        };
        let mut cursor = 0;
        loop {
            let missed: Vec<u64> = log.lock().unwrap().iter().copied().filter(|event| *event > cursor).collect();
            cursor = missed.last().copied().unwrap_or(cursor);
            subscription.state.lock().unwrap().sent.extend(missed);
            if subscription.release(cursor) {
                break;
            }
        }
        if forgets_where_it_was {
            subscription.state.lock().unwrap().after = 0;
        }
        publisher.join().unwrap();
        assert_eq!(subscription.state.lock().unwrap().sent, (1..=EVENTS).collect::<Vec<_>>());
    });
}

#[test]
fn a_subscription_that_catches_up_is_sent_each_event_once() {
    catch_up(1, false);
    catch_up(8, false);
}

/// The publisher may lag behind the log: without the place up to which it has been read, what was read is
/// sent again.
#[test]
#[should_panic(expected = "assertion `left == right` failed")]
fn a_subscription_that_forgets_where_it_was_is_caught() {
    catch_up(8, true);
}
