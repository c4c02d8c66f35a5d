//! Somebody who is in a room: comes, stays, goes, and in the end sees who else is there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::audit::Finding;
use super::dice::Dice;
use super::http::Http;
use super::servers::Servers;
use super::world::World;
use crate::bench::frames::{TEXT, masked};
use crate::bench::pusher::{self, Connection};
use crate::clock::Clock;
use crate::http::signature;

/// The room.
const ROOM: &str = "presence-room";

/// How long it may take until a room shows who is there: leases end, nodes come back.
const SETTLED: Duration = Duration::from_secs(45);

/// How long a member waits for an answer.
const QUIET: Duration = Duration::from_secs(5);

/// What a member sees in the end; `None` when it is not there.
pub type Seen = Option<BTreeSet<String>>;

/// A member.
pub struct Member {
    world: Arc<World>,
    number: usize,
    dice: Dice,
}

impl Member {
    /// The member of that number.
    pub fn new(world: Arc<World>, seed: u64, number: usize) -> Self {
        Self { world, number, dice: Dice::of(seed, &format!("member {number}")) }
    }

    /// Who of them stays when all is over: every second one.
    pub fn stays(number: usize) -> bool {
        number.is_multiple_of(2)
    }

    /// Comes and goes while the run lasts, and then stays or not, telling whom it sees.
    pub async fn live(mut self, seen: watch::Sender<Seen>) {
        loop {
            if self.world.is_closing() && !Self::stays(self.number) {
                seen.send_replace(None);
                return;
            }
            let stay = Duration::from_millis(self.dice.between(200, 8000));
            let _ = self.visit(stay, &seen).await;
            seen.send_replace(None);
            if seen.is_closed() {
                return;
            }
            sleep(Duration::from_millis(self.dice.between(20, 500))).await;
        }
    }

    /// Is in the room for so long, or until it is cut off; when all is over, for as long as somebody looks.
    async fn visit(&self, stay: Duration, seen: &watch::Sender<Seen>) -> Option<()> {
        self.world.count("visits of a room");
        let address = self.world.url.strip_prefix("http://")?;
        let key = self.world.pigeons.key.clone();
        let (address, host) = (address.parse().ok()?, address.to_owned());
        let app = pusher::App { address, host, id: key.clone(), key, secret: self.world.secret.clone() };
        let connection = timeout(QUIET, Connection::open(&app, 64 + self.number)).await.ok()?.ok()?;
        let member = json!({"user_id": self.name(), "user_info": {}}).to_string();
        let signed = signature::subscription(&app.secret, &connection.socket_id, ROOM, Some(&member));
        let data = json!({"channel": ROOM, "auth": format!("{}:{signed}", app.key), "channel_data": member});
        let wish = json!({"event": "pusher:subscribe", "data": data}).to_string();
        pusher::write(&connection.writer, &masked(TEXT, wish.as_bytes())).ok()?;
        let (tell, mut told) = mpsc::unbounded_channel();
        let following = connection.follow(move |frame, _| Ok(hand_on(frame, &tell)));
        tokio::pin!(following);
        let until = Instant::now() + stay;
        loop {
            tokio::select! {
                heard = told.recv() => {
                    let (kind, data) = heard?;
                    seen.send_modify(|seen| hear(seen, &kind, &data));
                }
                _ = &mut following => return None,
                () = sleep(Duration::from_millis(100)) => {}
            }
            if seen.is_closed() || (Instant::now() > until && !self.world.is_closing()) {
                return Some(());
            }
            if self.world.is_closing() && !Self::stays(self.number) {
                return Some(());
            }
        }
    }

    fn name(&self) -> String {
        format!("member-{}", self.number)
    }
}

fn hand_on(frame: &[u8], tell: &mpsc::UnboundedSender<(String, Value)>) -> bool {
    let Ok(frame) = serde_json::from_slice::<Value>(frame) else { return false };
    let Some(kind) = frame["event"].as_str().filter(|kind| kind.starts_with("pusher_internal:")) else { return false };
    let data = frame["data"].as_str().and_then(|data| serde_json::from_str(data).ok()).unwrap_or(Value::Null);
    let _ = tell.send((kind.to_owned(), data));
    true
}

fn hear(seen: &mut Seen, kind: &str, data: &Value) {
    let name = |data: &Value| data["user_id"].as_str().map(str::to_owned);
    match kind {
        "pusher_internal:subscription_succeeded" => {
            let ids = data["presence"]["ids"].as_array().into_iter().flatten();
            *seen = Some(ids.filter_map(|id| id.as_str().map(str::to_owned)).collect());
        }
        "pusher_internal:member_added" => {
            seen.iter_mut().for_each(|all| all.extend(name(data)));
        }
        "pusher_internal:member_removed" => {
            let gone = name(data).unwrap_or_default();
            seen.iter_mut().for_each(|all| {
                all.remove(&gone);
            });
        }
        _ => {}
    }
}

/// Waits until every member who stays, and every node, sees exactly who is there. What somebody sees wrongly in the
/// end is a finding.
pub async fn check(world: &World, servers: &Servers, members: &[watch::Receiver<Seen>]) -> Vec<Finding> {
    let wanted: BTreeSet<_> =
        (0..members.len()).filter(|number| Member::stays(*number)).map(|number| format!("member-{number}")).collect();
    let until = Instant::now() + SETTLED;
    loop {
        let mut findings = Vec::new();
        for (number, seen) in members.iter().enumerate().filter(|(number, _)| Member::stays(*number)) {
            let seen = seen.borrow().clone();
            findings.extend(differs(format!("member-{number}"), seen.as_ref(), &wanted));
        }
        for (number, node) in servers.nodes.iter().enumerate() {
            let seen = users(world, &world.http, &node.url).await;
            findings.extend(differs(format!("node {number}"), seen.as_ref(), &wanted));
        }
        if findings.is_empty() || Instant::now() > until {
            return findings;
        }
        sleep(Duration::from_millis(250)).await;
    }
}

fn differs(who: String, seen: Option<&BTreeSet<String>>, wanted: &BTreeSet<String>) -> Option<Finding> {
    let detail = format!("sees {seen:?} in {ROOM}, there are {wanted:?}");
    (seen != Some(wanted)).then(|| Finding {
        rule: "presence is true",
        who: who.into(),
        message: String::new(),
        detail,
    })
}

/// Whom a node counts as there.
async fn users(world: &World, http: &Http, url: &str) -> Option<BTreeSet<String>> {
    let ask = world.api(&Clock::system(), &format!("channels/{ROOM}/users"));
    let told = http.call(url, &ask, QUIET).await?;
    told.body["users"].as_array()?.iter().map(|user| user["id"].as_str().map(str::to_owned)).collect()
}
