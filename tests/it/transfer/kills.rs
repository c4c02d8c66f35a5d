//! Cut off anywhere, it goes on.

use std::process::{Child, Command, Stdio};

use roost::store::{SharedStore, Store};

use super::filled::{Dice, World};
use super::{Ground, assert_same, close, reads};
use crate::support::app::until_async;
use crate::support::process::roost;
use crate::support::store::{from_guest, live_chat};

/// Every so often it is killed.
const KILLS: usize = 8;
/// Messages beside what a [`World`] has.
const MESSAGES: usize = 6000;

fn migrate(ground: &Ground) -> Command {
    let mut command = roost();
    command.args(["migrate", "--rows", "3"]).env("ROOST_STORE_URL", &ground.target.url);
    command.arg("--from").arg(format!("sqlite:{}", ground.path().display()));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Waits until the target says that it has come so far, or the run has ended; kills it (SIGKILL) then. Whether it had
/// ended.
async fn kill_at(ground: &Ground, mut running: Child, rows: i64) -> bool {
    let mut has_ended = false;
    until_async(async || {
        has_ended = running.try_wait().unwrap().is_some();
        has_ended || ground.progress().await >= rows
    })
    .await;
    running.kill().unwrap();
    running.wait().unwrap();
    has_ended
}

impl Ground {
    /// Rows that were copied, and conversations that were compared.
    async fn progress(&self) -> i64 {
        if self.number("select (to_regclass('transfer_progress') is not null)::int::bigint").await == 0 {
            return 0;
        }
        self.number("select coalesce(sum(rows), 0)::bigint from transfer_progress").await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_move_goes_on_where_it_was() {
    let Some(ground) = Ground::new().await else { return };
    let store = ground.open();
    let mut world = World::fill(store.clone()).await;
    let chat = store.create_conversation(live_chat("long")).await.unwrap();
    let said: Vec<_> = (0..MESSAGES).map(|n| from_guest(chat.id, &format!("text {n}"))).collect();
    store.append_all(said).await.unwrap();
    let mut dice = Dice::new(3);
    let (mut cut_off, mut furthest) = (0, 0);
    for kill in 0..KILLS {
        // A server that runs: the end is not reached.
        let held = ground.dir.lock().unwrap();
        let step = MESSAGES / KILLS + dice.roll(MESSAGES / KILLS);
        let rows = furthest + i64::try_from(step).unwrap();
        let running = migrate(&ground).spawn().unwrap();
        cut_off += usize::from(!kill_at(&ground, running, rows).await);
        let now = ground.progress().await;
        assert!(now >= furthest, "what was copied is not copied again");
        furthest = now;
        drop(held);
        if kill % 2 == 0 {
            world.play(&mut dice, 20).await;
        }
    }
    assert!(cut_off >= 2, "it was killed {cut_off} times");
    let uploads = world.uploads.clone();
    drop(world);
    let shared: SharedStore = store.clone();
    let here = reads::all(&shared, &uploads).await;
    drop(shared);
    close(store);
    cut_off_at_the_end(&ground).await;
    assert!(migrate(&ground).status().unwrap().success());
    assert_same(&reads::all(&ground.target().await, &uploads).await, &here);
}

/// Killed in the cut-over, it leaves either a store that is whole or one that nobody starts on.
async fn cut_off_at_the_end(ground: &Ground) {
    for _ in 0..2 {
        let mut running = migrate(ground).spawn().unwrap();
        let mark = ground.path().join("MOVED");
        until_async(async || mark.exists() || running.try_wait().unwrap().is_some()).await;
        running.kill().unwrap();
        running.wait().unwrap();
        assert!(ground.try_open().is_err(), "nobody writes into what was left");
        let finished = "select count(finished_at) from transfer";
        assert_eq!(ground.try_target().await.is_ok(), ground.number(finished).await == 1);
    }
}
