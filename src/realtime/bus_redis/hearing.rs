//! The half of the bus that hears.
//!
//! What is wanted and what the server was told are two things: callers change what is wanted, and one task tells the
//! server of the changes, in batches and one after the other, so that an unsubscribe never overtakes the subscribe that
//! came after it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{PushInfo, PushKind, RedisResult, Value};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::Names;
use crate::realtime::bus::Ears;
use crate::redis::{Alarm, Life, Links, PING_WAIT, Pushed, Script, cmd};

/// The epoch; one that is gone is set anew, to an instant, which no other epoch is.
const EPOCH: &str = "local epoch = redis.call('GET', KEYS[1]) \
    if not epoch then \
        local now = redis.call('TIME') \
        epoch = now[1] .. '.' .. now[2] \
        redis.call('SET', KEYS[1], epoch) \
    end \
    return epoch";

/// Subscriptions that are asked for at once.
const TOPICS_AT_ONCE: usize = 512;
/// How long the server may take for so many.
const SUBSCRIBE_WAIT: Duration = Duration::from_secs(2);
/// How often the server is asked for a sign of life and for the epoch.
const TICK: Duration = Duration::from_secs(1);

/// Who hears, over all connections that come and go.
pub(super) struct Hearing {
    names: Names,
    ears: Arc<dyn Ears>,
    epoch: Script,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is wanted, with those who wait for its being heard.
    topics: HashMap<String, Vec<oneshot::Sender<bool>>>,
    /// What the server was not told of yet.
    changed: HashSet<String>,
    /// What the server is being told that it is not wanted, though it may be wanted again already.
    leaving: HashSet<String>,
    /// Of the connections of this moment, once everything is subscribed to.
    alarm: Option<Arc<Alarm>>,
    /// As it was last seen.
    epoch: String,
}

impl Hearing {
    pub fn new(names: Names, ears: Arc<dyn Ears>) -> Self {
        Self { names, ears, epoch: Script::new(EPOCH), state: Mutex::default() }
    }

    pub fn is_up(&self) -> bool {
        self.state().alarm.is_some()
    }

    /// Resolves to `true` when the topic is heard; `None`: it will be when Redis is back.
    pub fn subscribe(&self, topic: &str) -> Option<oneshot::Receiver<bool>> {
        let mut state = self.state();
        let State { topics, changed, alarm, .. } = &mut *state;
        changed.insert(topic.to_owned());
        let waiting = topics.entry(topic.to_owned()).or_default();
        let alarm = alarm.as_ref()?;
        let (told, heard) = oneshot::channel();
        // Who asked and went away leaves nothing behind.
        waiting.retain(|waiter| !waiter.is_closed());
        waiting.push(told);
        alarm.ring();
        Some(heard)
    }

    pub fn unsubscribe(&self, topic: &str) {
        let mut state = self.state();
        if state.topics.remove(topic).is_some() {
            state.changed.insert(topic.to_owned());
        }
        if let Some(alarm) = &state.alarm {
            alarm.ring();
        }
    }

    /// Something came by itself.
    fn heard(&self, pushed: &PushInfo, alarm: &Arc<Alarm>) {
        match (&pushed.kind, &pushed.data[..]) {
            (PushKind::Disconnection, _) => alarm.end(),
            (PushKind::SMessage, [Value::BulkString(channel), Value::BulkString(message)]) if alarm.is_open() => {
                let Ok(channel) = str::from_utf8(channel) else { return };
                match self.names.topic(channel) {
                    Some(topic) => self.ears.heard(topic, message),
                    None => self.saw_epoch(&String::from_utf8_lossy(message)),
                }
            }
            // A server that gives its slots away cuts off who hears by it.
            (PushKind::SUnsubscribe, [Value::BulkString(channel), ..]) if self.is_cut_off(channel) => alarm.end(),
            _ => {}
        }
    }

    /// Whether the server stopped telling what it was not asked to.
    fn is_cut_off(&self, channel: &[u8]) -> bool {
        let Ok(channel) = str::from_utf8(channel) else { return false };
        let Some(topic) = self.names.topic(channel) else { return true };
        let state = self.state();
        state.topics.contains_key(topic) && !state.leaving.contains(topic)
    }

    fn saw_epoch(&self, epoch: &str) {
        if self.is_new(epoch) {
            self.ears.disturbed();
        }
    }

    fn is_new(&self, epoch: &str) -> bool {
        let mut state = self.state();
        let is_new = state.epoch != epoch;
        if is_new {
            epoch.clone_into(&mut state.epoch);
        }
        is_new
    }

    /// Subscribes to all that is wanted, and lives on until something is wrong.
    async fn hear(&self, links: &Links, alarm: &Arc<Alarm>) -> RedisResult<()> {
        self.begin(links, alarm).await?;
        let mut looked = Instant::now();
        loop {
            alarm.rung(TICK.saturating_sub(looked.elapsed())).await;
            if alarm.is_over() {
                return Ok(());
            }
            self.settle(links).await?;
            if looked.elapsed() >= TICK {
                looked = Instant::now();
                self.look(links).await?;
            }
        }
    }

    async fn begin(&self, links: &Links, alarm: &Arc<Alarm>) -> RedisResult<()> {
        self.state().forget_all();
        let channel = self.names.disturbed();
        let subscribe = cmd("SSUBSCRIBE").arg(&channel).to_owned();
        in_time(SUBSCRIBE_WAIT, links.run(std::iter::once((channel, subscribe)))).await?;
        let epoch = self.ask_epoch(links).await?;
        loop {
            self.settle(links).await?;
            if self.state().opened(alarm, &epoch) {
                break;
            }
        }
        alarm.open(true);
        self.ears.disturbed();
        Ok(())
    }

    /// Tells the server of what has changed.
    async fn settle(&self, links: &Links) -> RedisResult<()> {
        loop {
            let batch = self.state().take_changed();
            if batch.is_empty() {
                return Ok(());
            }
            let commands = batch.iter().map(|(topic, is_wanted)| {
                let channel = self.names.channel(topic);
                let command = cmd(if *is_wanted { "SSUBSCRIBE" } else { "SUNSUBSCRIBE" }).arg(&channel).to_owned();
                (channel, command)
            });
            in_time(SUBSCRIBE_WAIT, links.run(commands)).await?;
            let mut state = self.state();
            batch.iter().filter(|(_, is_wanted)| *is_wanted).for_each(|(topic, _)| state.tell(topic, true));
        }
    }

    /// Whether the servers are alive, and the epoch is the same.
    async fn look(&self, links: &Links) -> RedisResult<()> {
        let (epoch, alive) = tokio::join!(self.ask_epoch(links), links.ping());
        alive?;
        self.saw_epoch(&epoch?);
        Ok(())
    }

    async fn ask_epoch(&self, links: &Links) -> RedisResult<String> {
        let key = self.names.epoch();
        in_time(PING_WAIT, self.epoch.key(&key).invoke_async(&mut links.of(&key))).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// New connections know nothing.
    fn forget_all(&mut self) {
        self.changed = self.topics.keys().cloned().collect();
    }

    fn take_changed(&mut self) -> Vec<(String, bool)> {
        let some: Vec<_> = self.changed.iter().take(TOPICS_AT_ONCE).cloned().collect();
        some.iter().for_each(|topic| _ = self.changed.remove(topic));
        let with_wish = |topic: String| {
            let is_wanted = self.topics.contains_key(&topic);
            (topic, is_wanted)
        };
        let batch: Vec<_> = some.into_iter().map(with_wish).collect();
        let unwanted = batch.iter().filter(|(_, is_wanted)| !is_wanted);
        self.leaving = unwanted.map(|(topic, _)| topic.clone()).collect();
        batch
    }

    /// Opens, unless something has changed meanwhile.
    fn opened(&mut self, alarm: &Arc<Alarm>, epoch: &str) -> bool {
        let is_settled = self.changed.is_empty();
        if is_settled {
            self.alarm = Some(Arc::clone(alarm));
            epoch.clone_into(&mut self.epoch);
        }
        is_settled
    }

    fn tell(&mut self, topic: &str, is_heard: bool) {
        let waiting = self.topics.get_mut(topic).map(std::mem::take).unwrap_or_default();
        waiting.into_iter().for_each(|waiter| _ = waiter.send(is_heard));
    }

    /// Whether it had been open.
    fn closed(&mut self) -> bool {
        self.topics.values_mut().flat_map(std::mem::take).for_each(|waiter| _ = waiter.send(false));
        self.alarm.take().is_some()
    }
}

impl Life for Hearing {
    fn pushed(self: &Arc<Self>, alarm: &Arc<Alarm>) -> Pushed {
        let (hearing, alarm) = (Arc::clone(self), Arc::clone(alarm));
        Arc::new(move |pushed| hearing.heard(&pushed, &alarm))
    }

    async fn live(&self, links: Arc<Links>, alarm: Arc<Alarm>) -> String {
        let ended = self.hear(&links, &alarm).await;
        alarm.open(false);
        if self.state().closed() {
            self.ears.away();
        }
        ended.map_or_else(|error| error.category().to_owned(), |()| "the connection was lost".to_owned())
    }
}

async fn in_time<T>(at_most: Duration, answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    timeout(at_most, answer).await.unwrap_or_else(|_| Err((redis::ErrorKind::Io, "no answer").into()))
}
