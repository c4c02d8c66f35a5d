//! What several do at once, each on a connection of its own or on another node: what is counted, compared or handed
//! out is right as if they had come one after another.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roost::domain::{Content, Delivery, DeliveryState, EventId, Happened, HookForm, MembershipStatus, PushOs, User};
use roost::error::Error;
use roost::store::webhooks::{AfterAttempt, Claim, HookOwner, HookReplay, NewWebhook, Taken, Tried};
use roost::store::{CodeCheck, Idempotency, NewPushDevice, NewToken, PUSH_DEVICES_MAX, SESSIONS_MAX, SharedStore};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::accounts::token;
use super::benches;
use super::webhooks::{claim, event, tried, webhook};
use crate::support::store::at;

const RIGHT: [u8; 32] = [1; 32];
const WRONG: [u8; 32] = [2; 32];

/// How many come at once: more than the connections of a store.
const CROWD: usize = 20;

/// Does it so many times at once, each with its number.
async fn at_once<T, F>(store: &SharedStore, count: usize, work: impl Fn(SharedStore, usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let works: JoinSet<T> = (0..count).map(|number| work(Arc::clone(store), number)).collect();
    works.join_all().await
}

fn how_many(answers: &[bool]) -> usize {
    answers.iter().filter(|answer| **answer).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_wrong_code_counts() {
    for bench in benches().await {
        let minh = bench.newcomer("minh").await;
        let tries_max = CROWD as u32;
        bench.store.set_code(minh.id, RIGHT, at(0), Duration::ZERO, at(60)).await.unwrap();
        at_once(&bench.store, CROWD, |store, _| async move {
            store.check_code(minh.id, WRONG, tries_max, at(1)).await.unwrap()
        })
        .await;
        let right = bench.store.check_code(minh.id, RIGHT, tries_max, at(1)).await.unwrap();
        assert_eq!(right, CodeCheck::Refused, "no try was lost");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_right_code_is_good_for_one() {
    for bench in benches().await {
        let minh = bench.newcomer("minh").await;
        let set = at_once(&bench.store, CROWD, |store, _| async move {
            store.set_code(minh.id, RIGHT, at(0), Duration::from_secs(60), at(60)).await.unwrap()
        });
        assert_eq!(how_many(&set.await), 1, "one letter");
        let checked = at_once(&bench.store, CROWD, |store, number| async move {
            let password = format!("password {number}");
            store.reset_password(minh.id, RIGHT, 100, password, at(1)).await.unwrap() == CodeCheck::Verified
        });
        assert_eq!(how_many(&checked.await), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_that_begin_at_once_are_no_more_than_may_be() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let session = NewToken { expires_at: Some(at(1000)), ..token(&lan, "session") };
        for _ in 0..SESSIONS_MAX {
            bench.store.add_token(session.clone()).await.unwrap();
        }
        let begun = at_once(&bench.store, CROWD, |store, _| {
            let session = session.clone();
            async move { store.add_token(session).await.unwrap() }
        });
        let begun: BTreeSet<_> = begun.await.into_iter().collect();
        let left: BTreeSet<_> = bench.store.tokens(lan.id).await.unwrap().iter().map(|token| token.id).collect();
        assert_eq!((left.len(), begun.len()), (SESSIONS_MAX, CROWD));
        assert!(left.is_superset(&begun), "the oldest ended");
    }
}

fn device(user: &User, token: String) -> NewPushDevice {
    NewPushDevice { uuid: Uuid::new_v4(), user_id: user.id, token, os: PushOs::Web, device: None, at: at(2) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn devices_that_are_registered_at_once_are_no_more_than_may_be() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let same = at_once(&bench.store, CROWD, |store, _| {
            let device = device(&lan, "phone".to_owned());
            async move { store.add_push_device(device).await.is_ok() }
        });
        assert_eq!(how_many(&same.await), CROWD, "to register twice is no mistake");
        assert_eq!(bench.store.push_devices(lan.id).await.unwrap().len(), 1);
        at_once(&bench.store, PUSH_DEVICES_MAX + CROWD, |store, number| {
            let device = device(&lan, number.to_string());
            async move { store.add_push_device(device).await.unwrap() }
        })
        .await;
        assert_eq!(bench.store.push_devices(lan.id).await.unwrap().len(), PUSH_DEVICES_MAX);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_the_same_requests_one_is_the_first() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let claimed = at_once(&bench.store, CROWD, |store, _| async move {
            let key = Idempotency { key: "k".to_owned(), fingerprint: [1; 16] };
            store.claim_key(lan.id, "opening", key, at(1)).await.unwrap()
        });
        assert_eq!(how_many(&claimed.await), CROWD - 1);
        let secrets = at_once(&bench.store, CROWD, |store, number| async move {
            store.secret("test", [u8::try_from(number).unwrap(); 32]).await.unwrap()
        });
        assert_eq!(secrets.await.into_iter().collect::<BTreeSet<_>>().len(), 1, "an installation has one");
    }
}

/// Each node notes whom it saw in an order of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_saw_the_same_users_do_not_stand_in_each_others_way() {
    for bench in benches().await {
        let pair = bench.pair().await;
        let users = [pair.ana.id, pair.ben.id];
        let noted = at_once(&bench.store, CROWD, |store, number| async move {
            let seen = if number % 2 == 0 { users.to_vec() } else { users.iter().rev().copied().collect() };
            store.note_seen(seen, at(i64::try_from(number).unwrap())).await.is_ok()
        });
        assert_eq!(how_many(&noted.await), CROWD);
        let seen = bench.store.seen(pair.platform.id, vec![pair.ana.uuid, pair.ben.uuid]).await.unwrap();
        let latest = Some(at(CROWD as i64 - 1));
        assert_eq!(seen.iter().map(|seen| seen.at).collect::<Vec<_>>(), [latest, latest]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_is_either_held_or_condemned() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let (_, message) = bench.chat_with(&lan, "a").await;
        for _ in 0..CROWD {
            let file = bench.uploaded(&lan, 10).await;
            let won = at_once(&bench.store, 2, |store, number| {
                let (user, message) = (lan.id, message.id);
                async move {
                    if number == 0 {
                        return store.condemn_attachment(file.id).await.unwrap();
                    }
                    store.hold_attachments(user, vec![file.uuid], message).await.is_ok()
                }
            });
            assert_eq!(how_many(&won.await), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_is_loose_again_when_all_that_held_it_are_removed_at_once() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let file = bench.uploaded(&lan, 10).await;
        let mut chats = Vec::new();
        for number in 0..4 {
            let (chat, message) = bench.chat_with(&lan, &number.to_string()).await;
            bench.store.hold_attachments(lan.id, vec![file.uuid], message.id).await.unwrap();
            chats.push(chat.id);
        }
        at_once(&bench.store, chats.len(), |store, number| {
            let chat = chats[number];
            async move { store.remove_conversation(chat).await.unwrap() }
        })
        .await;
        assert_eq!(bench.loose(100).await, [file.id]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn endpoints_that_are_made_at_once_are_no_more_than_may_be() {
    for bench in benches().await {
        let acme = bench.platform("Acme").await;
        for platform in [None, Some(&acme)] {
            let new = webhook(platform, "https://a.test/");
            let count_max = new.count_max;
            let made = at_once(&bench.store, CROWD, |store, _| {
                let new = new.clone();
                async move { store.add_webhook(new).await.is_ok() }
            });
            assert_eq!(how_many(&made.await), count_max);
        }
    }
}

/// Every node follows the log for every endpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_several_nodes_take_from_the_log_is_taken_once() {
    for bench in benches().await {
        let (one, two) = (bench.hook("https://1.test/").await, bench.hook("https://2.test/").await);
        for page in 0..5_i64 {
            let (from, to) = (page * 4, page * 4 + 4);
            let taken = at_once(&bench.store, CROWD, |store, number| {
                let told: Vec<_> = (from + 1..=to).map(|id| event(id, id % 2)).collect();
                let take = |id| Taken { webhook_id: id, from: EventId(from), to: EventId(to), told: told.clone() };
                let mut taken = vec![take(one.id), take(two.id)];
                if number % 2 == 0 {
                    taken.reverse();
                }
                async move { store.take_for_webhooks(taken, at(2)).await.unwrap() }
            });
            assert_eq!(taken.await.into_iter().sum::<usize>(), 8);
        }
        for hook in [&one, &two] {
            assert_eq!(bench.states(hook).await.len(), 20, "and the count says so");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_happens_at_once_is_no_more_than_may_be_on_its_way() {
    for bench in benches().await {
        let acme = bench.platform("Acme").await;
        let new = NewWebhook { form: HookForm::Pusher, kinds: Vec::new(), ..webhook(Some(&acme), "https://a.test/") };
        let hook = bench.store.add_webhook(new).await.unwrap();
        let queued = at_once(&bench.store, CROWD, |store, _| async move {
            let what = Happened::ChannelOccupied { channel: "a".to_owned() };
            store.queue_happened(vec![(acme.id, Content::Happening { what, at: at(2) })], 7).await.unwrap()
        });
        assert_eq!(queued.await.into_iter().sum::<usize>(), 7);
        let states = bench.states(&hook).await;
        let due = states.iter().filter(|(_, state)| *state == DeliveryState::Due).count();
        assert_eq!((states.len(), due), (7, 1), "in order");
    }
}

/// What nodes have claimed and not noted yet, by endpoint and lane: the number of the delivery.
#[derive(Default)]
struct UnderWay(Mutex<BTreeMap<(i64, String), (bool, i64)>>);

impl UnderWay {
    fn begins(&self, delivery: &Delivery) {
        let mut lanes = self.0.lock().unwrap();
        let lane = lanes.entry((delivery.webhook_id.0, delivery.content.lane())).or_default();
        assert!(!lane.0, "two of a lane are under way: {} and {}", lane.1, delivery.id.0);
        assert!(lane.1 < delivery.id.0, "{} comes after {}", delivery.id.0, lane.1);
        *lane = (true, delivery.id.0);
    }

    fn ends(&self, delivery: &Delivery) {
        let mut lanes = self.0.lock().unwrap();
        lanes.get_mut(&(delivery.webhook_id.0, delivery.content.lane())).unwrap().0 = false;
    }
}

/// Claims and sends until there is nothing more; how many it sent.
async fn node(store: SharedStore, under_way: Arc<UnderWay>) -> usize {
    let (claimer, mut sent) = (Uuid::new_v4(), 0);
    loop {
        let wanted = Claim { claimer, limit: 3, per_webhook: 2, ..claim(at(3)) };
        let claimed = store.claim_deliveries(wanted).await.unwrap();
        if claimed.is_empty() {
            // Another node may have the first of each lane.
            if store.next_due().await.unwrap().is_none() {
                return sent;
            }
            tokio::task::yield_now().await;
        }
        for (delivery, _) in &claimed {
            under_way.begins(delivery);
        }
        for (delivery, _) in &claimed {
            let done = Tried { claimer, ..tried(delivery.id, 3, AfterAttempt::Delivered) };
            under_way.ends(delivery);
            assert!(store.note_attempt(done).await.unwrap(), "it is nobody else's");
            sent += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_nodes_send_each_delivery_once_and_each_lane_in_order() {
    for bench in benches().await {
        let mut hooks = Vec::new();
        for url in ["https://1.test/", "https://2.test/", "https://3.test/"] {
            let hook = bench.hook(url).await;
            let events: Vec<_> = (1..=40).map(|id| (id, id % 4)).collect();
            bench.takes(&hook, 0, 40, &events).await;
            hooks.push(hook);
        }
        let under_way = Arc::new(UnderWay::default());
        let sent = at_once(&bench.store, 6, |store, _| node(store, Arc::clone(&under_way))).await;
        assert_eq!(sent.iter().sum::<usize>(), 120);
        for hook in &hooks {
            let states = bench.states(hook).await;
            assert!(states.iter().all(|(_, state)| *state == DeliveryState::Delivered), "{states:?}");
        }
    }
}

/// Somebody who looks at the list queues failed ones again while nodes send.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lane_has_one_that_is_due_whatever_is_done_at_once() {
    for bench in benches().await {
        let hook = bench.hook("https://a.test/").await;
        let events: Vec<_> = (1..=30).map(|id| (id, 1)).collect();
        bench.takes(&hook, 0, 30, &events).await;
        at_once(&bench.store, 6, |store, number| async move {
            let claimer = Uuid::new_v4();
            for _ in 0..10 {
                if number == 0 {
                    let all = HookReplay::FailedSince(EventId::START);
                    store.replay_deliveries(hook.id, all, at(3)).await.unwrap();
                    continue;
                }
                for (delivery, _) in store.claim_deliveries(Claim { claimer, ..claim(at(3)) }).await.unwrap() {
                    let failed = Tried { claimer, ..tried(delivery.id, 3, AfterAttempt::GiveUp) };
                    assert!(store.note_attempt(failed).await.unwrap());
                }
            }
        })
        .await;
        let due = bench.states(&hook).await.iter().filter(|(_, state)| *state == DeliveryState::Due).count();
        let open = bench.store.webhooks(HookOwner::Anybody).await.unwrap()[0].open;
        assert_eq!(due, usize::from(open > 0), "of {open}");
    }
}

/// SQLite holds a NUL and PostgreSQL does not. Either way it is no surprise.
#[tokio::test]
async fn a_nul_is_held_or_refused() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let held = |error: Option<Error>| error.is_none_or(|error| matches!(error, Error::Invalid(_)));
        let role = bench.store.set_membership(lan.id, "a\0b".to_owned(), MembershipStatus::Approved, at(1)).await;
        assert!(held(role.err()));
        assert!(held(bench.store.add_push_device(device(&lan, "a\0b".to_owned())).await.err()));
        assert!(held(bench.store.remove_push_device(lan.id, "c\0").await.err()));
        assert!(bench.store.push_devices(lan.id).await.is_ok(), "and the next one finds all well");
    }
}
