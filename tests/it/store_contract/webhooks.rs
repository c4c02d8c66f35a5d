//! Endpoints and deliveries: cursors that move with what was taken, lanes that keep their order, claims that lapse.

use std::time::Duration;

use roost::domain::{
    Attempt, Content, ConversationId, Delivery, DeliveryId, DeliveryState, Disabled, EventId, Happened, HookForm,
    HookKey, Platform, Timestamp, Webhook, WebhookId,
};
use roost::error::{Error, FieldError, Rule};
use roost::store::webhooks::{
    AfterAttempt, Claim, DELIVERIES_AT_ONCE, DeliveryFilter, HookEdit, HookOwner, HookReplay, NewWebhook, Taken, Tried,
};
use uuid::Uuid;

use super::{Bench, benches};
use crate::support::store::at;

pub(super) const ME: Uuid = Uuid::from_u128(1);
pub(super) const SOMEBODY_ELSE: Uuid = Uuid::from_u128(2);

pub(super) fn webhook(platform: Option<&Platform>, url: &str) -> NewWebhook {
    NewWebhook {
        platform_id: platform.map(|platform| platform.id),
        url: url.to_owned(),
        form: HookForm::Standard,
        kinds: vec!["message.created".to_owned(), "message.edited".to_owned()],
        key: HookKey([7; 32]),
        after: Some(EventId::START),
        count_max: 3,
        at: at(1),
    }
}

pub(super) fn event(id: i64, conversation: i64) -> (String, Content) {
    let content = Content::Event { id: EventId(id), conversation_id: ConversationId(conversation) };
    ("message.created".to_owned(), content)
}

pub(super) fn claim(now: Timestamp) -> Claim {
    let until = now.plus(Duration::from_secs(30));
    Claim { claimer: ME, limit: 100, per_webhook: 100, busy: Vec::new(), now, until }
}

pub(super) fn tried(delivery: DeliveryId, second: i64, then: AfterAttempt) -> Tried {
    let error = (then != AfterAttempt::Delivered).then(|| "answered 500".to_owned());
    let status = Some(if error.is_some() { 500 } else { 200 });
    let attempt = Attempt { at: at(second), took_ms: 12, status, error };
    Tried { delivery_id: delivery, claimer: ME, attempt, then, disable: None, now: at(second) }
}

const ALL: DeliveryFilter = DeliveryFilter { state: None, before: None, limit: 100 };

impl Bench {
    pub(super) async fn hook(&self, url: &str) -> Webhook {
        self.store.add_webhook(webhook(None, url)).await.unwrap()
    }

    async fn hook_now(&self, id: WebhookId) -> Webhook {
        self.store.webhook(HookOwner::Anybody, id).await.unwrap().expect("it is there")
    }

    /// Takes events (id and conversation) for one endpoint.
    pub(super) async fn takes(&self, hook: &Webhook, from: i64, to: i64, events: &[(i64, i64)]) -> usize {
        let told = events.iter().map(|(id, conversation)| event(*id, *conversation)).collect();
        let taken = Taken { webhook_id: hook.id, from: EventId(from), to: EventId(to), told };
        self.store.take_for_webhooks(vec![taken], at(2)).await.unwrap()
    }

    /// Claims everything that is due.
    async fn claims(&self, second: i64) -> Vec<Delivery> {
        let claimed = self.store.claim_deliveries(claim(at(second))).await.unwrap();
        claimed.into_iter().map(|(delivery, _)| delivery).collect()
    }

    async fn ends(&self, delivery: &Delivery, second: i64, then: AfterAttempt) {
        assert!(self.store.note_attempt(tried(delivery.id, second, then)).await.unwrap());
    }

    pub(super) async fn states(&self, hook: &Webhook) -> Vec<(String, DeliveryState)> {
        let mut page = self.store.deliveries(hook.id, ALL).await.unwrap();
        page.reverse();
        // What is counted and what is there is one.
        let open = page.iter().filter(|d| matches!(d.state, DeliveryState::Waiting | DeliveryState::Due)).count();
        assert_eq!(self.hook_now(hook.id).await.open, open as u64);
        page.iter().map(|delivery| (delivery.public_id(), delivery.state)).collect()
    }
}

fn ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(Delivery::public_id).collect()
}

fn named(states: &[(&str, DeliveryState)]) -> Vec<(String, DeliveryState)> {
    states.iter().map(|(id, state)| ((*id).to_owned(), *state)).collect()
}

#[tokio::test]
async fn an_endpoint_is_read_back_as_it_was_made_and_is_its_owners() {
    for bench in benches().await {
        let (acme, other) = (bench.platform("Acme").await, bench.platform("Other").await);
        let own = bench.store.add_webhook(webhook(Some(&acme), "https://a.test/")).await.unwrap();
        let operators = bench.hook("https://b.test/").await;
        assert_eq!((own.platform_id, own.form, own.cursor), (Some(acme.id), HookForm::Standard, EventId::START));
        assert_eq!((own.kinds.len(), own.open, own.disabled.clone()), (2, 0, None));
        assert_eq!((own.keys.current, own.keys.former), (HookKey([7; 32]), None));
        let bench = bench.reopen().await;
        let (of_acme, of_other) = (HookOwner::Platform(acme.id), HookOwner::Platform(other.id));
        assert_eq!(bench.store.webhooks(HookOwner::Anybody).await.unwrap(), [own.clone(), operators.clone()]);
        assert_eq!(bench.store.webhooks(of_acme).await.unwrap(), std::slice::from_ref(&own));
        assert_eq!(bench.store.webhooks(of_other).await.unwrap(), []);
        assert_eq!(bench.store.webhook(of_acme, own.id).await.unwrap(), Some(own.clone()));
        for stranger in [bench.store.webhook(of_other, own.id).await, bench.store.webhook(of_acme, operators.id).await]
        {
            assert_eq!(stranger.unwrap(), None);
        }
        let nothing = HookEdit { url: Some("https://evil.test/".to_owned()), ..HookEdit::default() };
        assert_eq!(bench.store.edit_webhook(of_other, own.id, nothing, at(5)).await.unwrap(), None);
        assert!(!bench.store.remove_webhook(of_other, own.id).await.unwrap());
        assert_eq!(bench.hook_now(own.id).await, own);
        assert!(bench.store.remove_webhook(of_acme, own.id).await.unwrap());
        assert!(!bench.store.remove_webhook(HookOwner::Anybody, own.id).await.unwrap());
    }
}

#[tokio::test]
async fn an_owner_has_a_bounded_number_of_endpoints() {
    for bench in benches().await {
        let acme = bench.platform("Acme").await;
        for url in ["https://1.test/", "https://2.test/", "https://3.test/"] {
            bench.store.add_webhook(webhook(Some(&acme), url)).await.unwrap();
        }
        match bench.store.add_webhook(webhook(Some(&acme), "https://4.test/")).await {
            Err(Error::Invalid(fields)) => {
                assert_eq!(fields, [FieldError { field: "url".into(), rule: Rule::CountMax(3) }]);
            }
            more => panic!("{more:?}"),
        }
        bench.hook("https://the-operators-own.test/").await;
    }
}

#[tokio::test]
async fn a_new_endpoint_hears_of_what_comes_unless_told_from_where() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let last = bench.say(&chat, "before").await;
        let new = NewWebhook { after: None, ..webhook(None, "https://a.test/") };
        assert_eq!(bench.store.add_webhook(new).await.unwrap().cursor, last.id);
        assert_eq!(bench.hook("https://b.test/").await.cursor, EventId::START);
    }
}

#[tokio::test]
async fn what_is_edited_stays_and_the_rest_too() {
    for bench in benches().await {
        let hook = bench.hook("https://a.test/").await;
        let edit = HookEdit {
            url: Some("https://b.test/".to_owned()),
            kinds: Some(Vec::new()),
            key: Some((HookKey([8; 32]), at(100))),
            disabled: Some(Some(Disabled { at: at(5), why: "by hand".to_owned() })),
        };
        let edited = bench.store.edit_webhook(HookOwner::Anybody, hook.id, edit, at(5)).await.unwrap().unwrap();
        assert_eq!((edited.url.as_str(), edited.kinds.len(), edited.updated_at), ("https://b.test/", 0, at(5)));
        assert_eq!(edited.keys.current, HookKey([8; 32]));
        assert_eq!(edited.keys.former, Some((HookKey([7; 32]), at(100))));
        assert_eq!(edited.disabled.as_ref().map(|disabled| disabled.why.as_str()), Some("by hand"));
        let same = bench.store.edit_webhook(HookOwner::Anybody, hook.id, HookEdit::default(), at(5)).await.unwrap();
        assert_eq!(same, Some(edited.clone()));
        assert_eq!(bench.reopen().await.hook_now(hook.id).await, edited);
    }
}

#[tokio::test]
async fn what_is_taken_is_there_once_with_the_cursor_that_moved() {
    for bench in benches().await {
        let hook = bench.hook("https://a.test/").await;
        assert_eq!(bench.takes(&hook, 0, 5, &[(3, 1), (4, 2), (5, 1)]).await, 3);
        // Whoever was a moment later, and takes the same.
        assert_eq!(bench.takes(&hook, 0, 5, &[(3, 1), (4, 2), (5, 1)]).await, 0);
        assert_eq!(bench.takes(&hook, 5, 9, &[]).await, 0);
        assert_eq!(bench.hook_now(hook.id).await.cursor, EventId(9));
        let want = [("evt_3", DeliveryState::Due), ("evt_4", DeliveryState::Due), ("evt_5", DeliveryState::Waiting)];
        let bench = bench.reopen().await;
        assert_eq!(bench.states(&hook).await, named(&want));
        let off = HookEdit { disabled: Some(Some(Disabled { at: at(3), why: String::new() })), ..HookEdit::default() };
        bench.store.edit_webhook(HookOwner::Anybody, hook.id, off, at(3)).await.unwrap();
        assert_eq!(bench.takes(&hook, 9, 10, &[(10, 1)]).await, 0, "its cursor stands still while it is off");
        assert_eq!(bench.hook_now(hook.id).await.cursor, EventId(9));
    }
}

#[tokio::test]
async fn a_lane_waits_for_its_first_and_another_does_not() {
    for bench in benches().await {
        let hook = bench.hook("https://a.test/").await;
        bench.takes(&hook, 0, 4, &[(1, 1), (2, 1), (3, 2), (4, 1)]).await;
        let first = bench.claims(3).await;
        assert_eq!(ids(&first), ["evt_1", "evt_3"]);
        assert!(bench.claims(3).await.is_empty(), "they are somebody's");
        bench.ends(&first[0], 4, AfterAttempt::Retry(at(60))).await;
        bench.ends(&first[1], 4, AfterAttempt::Delivered).await;
        assert!(bench.claims(59).await.is_empty(), "the second of the lane waits with the first");
        let again = bench.claims(60).await;
        assert_eq!((ids(&again), again[0].attempts, again[0].tries), (vec!["evt_1".to_owned()], 1, 1));
        assert_eq!(again[0].begun_at, Some(at(4)));
        bench.ends(&again[0], 61, AfterAttempt::GiveUp).await;
        let next = bench.claims(61).await;
        assert_eq!(ids(&next), ["evt_2"], "given up, it holds nobody up");
        bench.ends(&next[0], 61, AfterAttempt::Delivered).await;
        assert_eq!(ids(&bench.claims(61).await), ["evt_4"]);
        let (failed, delivered, due) = (DeliveryState::Failed, DeliveryState::Delivered, DeliveryState::Due);
        let want = [("evt_1", failed), ("evt_2", delivered), ("evt_3", delivered), ("evt_4", due)];
        assert_eq!(bench.states(&hook).await, named(&want));
    }
}

#[tokio::test]
async fn endpoints_take_turns_and_none_takes_all() {
    for bench in benches().await {
        let (one, two) = (bench.hook("https://1.test/").await, bench.hook("https://2.test/").await);
        bench.takes(&one, 0, 6, &[(1, 1), (2, 2), (3, 3), (4, 4)]).await;
        bench.takes(&two, 0, 6, &[(5, 5), (6, 6)]).await;
        let wanted = |limit, busy| Claim { limit, per_webhook: 3, busy, ..claim(at(3)) };
        let whose = async |limit, busy| {
            let claimed = bench.store.claim_deliveries(wanted(limit, busy)).await.unwrap();
            claimed.iter().map(|(_, hook)| hook.id).collect::<Vec<_>>()
        };
        assert_eq!(whose(1, vec![(one.id, 2)]).await, [two.id], "who has the fewest comes first");
        assert_eq!(whose(2, Vec::new()).await, [one.id, two.id]);
        assert_eq!(whose(100, vec![(one.id, 1)]).await, [one.id, one.id], "three of an endpoint at the most");
        assert_eq!(whose(100, vec![(one.id, 3)]).await, []);
    }
}

#[tokio::test]
async fn a_claim_lapses_and_its_owner_then_has_nothing_to_say() {
    for bench in benches().await {
        let hook = bench.hook("https://a.test/").await;
        bench.takes(&hook, 0, 2, &[(1, 1), (2, 1)]).await;
        let mine = bench.claims(3).await;
        let others = Claim { claimer: SOMEBODY_ELSE, ..claim(at(33)) };
        assert_eq!(bench.store.next_due().await.unwrap(), Some(at(33)));
        let theirs = bench.store.claim_deliveries(others).await.unwrap();
        assert_eq!(theirs.len(), 1);
        assert!(!bench.store.note_attempt(tried(mine[0].id, 34, AfterAttempt::Delivered)).await.unwrap());
        assert_eq!(bench.store.attempts(hook.id, mine[0].id).await.unwrap(), Some(Vec::new()));
        // Who knows that they will not send it gives it back.
        assert_eq!(bench.store.release_claims(SOMEBODY_ELSE, at(35)).await.unwrap(), 1);
        assert_eq!(bench.store.release_claims(SOMEBODY_ELSE, at(35)).await.unwrap(), 0);
        assert_eq!(ids(&bench.claims(35).await), ["evt_1"]);
    }
}

/// What a crash left cannot be told from what another node is sending, but where there is no other node.
#[tokio::test]
async fn a_start_leaves_another_nodes_claims_alone() {
    for bench in benches().await {
        let hook = bench.hook("https://a.test/").await;
        bench.takes(&hook, 0, 1, &[(1, 1)]).await;
        let others = Claim { claimer: SOMEBODY_ELSE, ..claim(at(3)) };
        assert_eq!(bench.store.claim_deliveries(others).await.unwrap().len(), 1);
        let is_alone = bench.label.0 == "sqlite";
        assert_eq!(bench.store.release_claims(ME, at(4)).await.unwrap(), usize::from(is_alone));
        assert_eq!(bench.claims(4).await.len(), usize::from(is_alone));
    }
}

#[tokio::test]
async fn every_try_is_listed() {
    for bench in benches().await {
        let hook = bench.hook("https://a.test/").await;
        bench.takes(&hook, 0, 1, &[(1, 1)]).await;
        let delivery = bench.claims(3).await.remove(0);
        bench.ends(&delivery, 4, AfterAttempt::Retry(at(10))).await;
        bench.claims(10).await;
        bench.ends(&delivery, 11, AfterAttempt::Delivered).await;
        let bench = bench.reopen().await;
        let attempts = bench.store.attempts(hook.id, delivery.id).await.unwrap().unwrap();
        let want = [(at(4), Some(500), Some("answered 500".to_owned())), (at(11), Some(200), None)];
        assert_eq!(attempts.iter().map(|a| (a.at, a.status, a.error.clone())).collect::<Vec<_>>(), want);
        let listed = bench.store.deliveries(hook.id, ALL).await.unwrap().remove(0);
        assert_eq!((listed.attempts, listed.last_status, listed.last_error), (2, Some(200), None));
        assert_eq!((listed.ended_at, listed.created_at), (Some(at(11)), at(2)));
        assert_eq!(bench.store.attempts(WebhookId(99), delivery.id).await.unwrap(), None);
        assert_eq!(bench.store.attempts(hook.id, DeliveryId(99)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_for_long_is_switched_off_and_goes_on_where_it_was() {
    for bench in benches().await {
        let hook = bench.hook("https://a.test/").await;
        bench.takes(&hook, 0, 2, &[(1, 1), (2, 1)]).await;
        let fail = async |second, since| {
            let delivery = bench.claims(second).await.remove(0);
            let disable = Some((at(since), "enough".to_owned()));
            let failed = tried(delivery.id, second, AfterAttempt::Retry(at(second + 10)));
            assert!(bench.store.note_attempt(Tried { disable, ..failed }).await.unwrap());
            bench.hook_now(hook.id).await
        };
        let failing = fail(10, 9).await;
        assert_eq!((failing.failing_since, failing.disabled), (Some(at(10)), None));
        let off = fail(20, 10).await;
        assert_eq!(off.failing_since, Some(at(10)));
        assert_eq!(off.disabled, Some(Disabled { at: at(20), why: "enough".to_owned() }));
        assert!(bench.claims(1000).await.is_empty() && bench.store.next_due().await.unwrap().is_none());
        let on = HookEdit { disabled: Some(None), ..HookEdit::default() };
        let on = bench.store.edit_webhook(HookOwner::Anybody, hook.id, on, at(1000)).await.unwrap().unwrap();
        assert_eq!((on.disabled, on.failing_since), (None, None));
        let delivery = bench.claims(1000).await.remove(0);
        assert_eq!((delivery.tries, delivery.begun_at, delivery.attempts), (0, None, 2), "it has all its time again");
        bench.ends(&delivery, 1001, AfterAttempt::Delivered).await;
        let well = bench.hook_now(hook.id).await;
        assert_eq!((well.failing_since, well.delivered_at), (None, Some(at(1001))));
    }
}

#[tokio::test]
async fn deliveries_are_listed_by_state_page_by_page() {
    for bench in benches().await {
        let hook = bench.hook("https://a.test/").await;
        bench.takes(&hook, 0, 3, &[(1, 1), (2, 2), (3, 3)]).await;
        let claimed = bench.claims(3).await;
        bench.ends(&claimed[1], 3, AfterAttempt::Delivered).await;
        let listed = async |state, before, limit| {
            ids(&bench.store.deliveries(hook.id, DeliveryFilter { state, before, limit }).await.unwrap())
        };
        assert_eq!(listed(None, None, 2).await, ["evt_3", "evt_2"]);
        assert_eq!(listed(None, Some(claimed[1].id), 2).await, ["evt_1"]);
        assert_eq!(listed(Some(DeliveryState::Delivered), None, 9).await, ["evt_2"]);
        assert_eq!(listed(Some(DeliveryState::Due), None, 9).await, ["evt_3", "evt_1"]);
    }
}

#[tokio::test]
async fn a_replay_queues_what_ended_again_in_order() {
    for bench in benches().await {
        let hook = bench.hook("https://a.test/").await;
        bench.takes(&hook, 0, 4, &[(1, 1), (2, 1), (3, 1), (4, 1)]).await;
        for (second, then) in [
            (3, AfterAttempt::Delivered),
            (4, AfterAttempt::GiveUp),
            (5, AfterAttempt::GiveUp),
            (6, AfterAttempt::Retry(at(500))),
        ] {
            let next = bench.claims(second).await.remove(0);
            bench.ends(&next, second, then).await;
        }
        let replay = async |which| bench.store.replay_deliveries(hook.id, which, at(7)).await.unwrap();
        assert_eq!(replay(HookReplay::FailedSince(EventId(2))).await, 1, "evt_3 alone failed after it");
        let (delivered, failed) = (DeliveryState::Delivered, DeliveryState::Failed);
        let (due, waiting) = (DeliveryState::Due, DeliveryState::Waiting);
        let want = [("evt_1", delivered), ("evt_2", failed), ("evt_3", due), ("evt_4", waiting)];
        assert_eq!(bench.states(&hook).await, named(&want), "what is older comes before what waits for its next try");
        assert_eq!(replay(HookReplay::FailedSince(EventId::START)).await, 1);
        let first = bench.store.deliveries(hook.id, ALL).await.unwrap().pop().unwrap();
        assert_eq!(replay(HookReplay::One(first.id)).await, 1, "also what was taken");
        let want = [("evt_1", due), ("evt_2", waiting), ("evt_3", waiting), ("evt_4", waiting)];
        assert_eq!(bench.states(&hook).await, named(&want));
        for id in ["evt_1", "evt_2", "evt_3"] {
            let next = bench.claims(8).await.remove(0);
            assert_eq!((next.public_id().as_str(), next.tries), (id, 0));
            bench.ends(&next, 8, AfterAttempt::Delivered).await;
        }
        assert!(bench.claims(499).await.is_empty(), "evt_4 keeps its time");
        let last = bench.store.deliveries(hook.id, ALL).await.unwrap().remove(0);
        assert_eq!(replay(HookReplay::One(last.id)).await, 1);
        assert_eq!(ids(&bench.claims(8).await), ["evt_4"], "unless it is asked for");
        assert_eq!(replay(HookReplay::One(DeliveryId(99))).await, 0);
        let other = bench.hook("https://b.test/").await;
        assert_eq!(bench.store.replay_deliveries(other.id, HookReplay::One(last.id), at(8)).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn what_is_being_sent_is_not_sent_twice_by_a_replay() {
    for bench in benches().await {
        let hook = bench.hook("https://a.test/").await;
        bench.takes(&hook, 0, 2, &[(1, 1), (2, 1)]).await;
        let first = bench.claims(3).await.remove(0);
        bench.ends(&first, 3, AfterAttempt::GiveUp).await;
        let second = bench.claims(3).await.remove(0);
        assert_eq!(bench.store.replay_deliveries(hook.id, HookReplay::One(first.id), at(4)).await.unwrap(), 1);
        assert_eq!(bench.store.replay_deliveries(hook.id, HookReplay::One(second.id), at(4)).await.unwrap(), 1);
        assert!(bench.claims(4).await.is_empty(), "the lane is busy");
        bench.ends(&second, 5, AfterAttempt::Delivered).await;
        assert_eq!(ids(&bench.claims(5).await), ["evt_1"]);
    }
}

#[tokio::test]
async fn what_is_in_no_log_is_told_to_who_wants_it_on_that_platform() {
    for bench in benches().await {
        let (acme, other) = (bench.platform("Acme").await, bench.platform("Other").await);
        let pusher = |platform, kinds: &[&str]| NewWebhook {
            form: HookForm::Pusher,
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            ..webhook(Some(platform), "https://a.test/")
        };
        let hook = bench.store.add_webhook(pusher(&acme, &[])).await.unwrap();
        bench.store.add_webhook(pusher(&acme, &["client_event"])).await.unwrap();
        bench.store.add_webhook(pusher(&other, &[])).await.unwrap();
        bench.store.add_webhook(webhook(Some(&acme), "https://standard.test/")).await.unwrap();
        let queue = async |what: &Happened, max| {
            let content = Content::Happening { what: what.clone(), at: at(2) };
            bench.store.queue_happened(vec![(acme.id, content)], max).await
        };
        let name = |name: &str| name.to_owned();
        let each = [
            Happened::MemberAdded { channel: name("presence-a"), user_id: name("7") },
            Happened::MemberRemoved { channel: name("presence-a"), user_id: name("7") },
            Happened::ChannelOccupied { channel: name("b") },
            Happened::ChannelVacated { channel: name("b") },
            Happened::CacheMiss { channel: name("cache-c") },
            Happened::SubscriptionCount { channel: name("d"), count: 3 },
        ];
        for what in &each {
            assert_eq!(queue(what, 100).await.unwrap(), 1);
        }
        let said = Happened::ClientEvent {
            channel: name("private-e"),
            event: name("client-typing"),
            data: Some(name("{\"a\":1}")),
            socket_id: name("1.2"),
            user_id: None,
        };
        assert_eq!(queue(&said, 100).await.unwrap(), 2);
        assert_eq!(queue(&said, 7).await.unwrap(), 1, "the first has enough on the way");
        let bench = bench.reopen().await;
        let mut listed = bench.store.deliveries(hook.id, ALL).await.unwrap();
        listed.reverse();
        let told: Vec<_> = listed.iter().map(|delivery| delivery.content.clone()).collect();
        let want = each.into_iter().chain([said]).map(|what| Content::Happening { what, at: at(2) });
        assert_eq!(told, want.collect::<Vec<_>>());
        let due: Vec<_> = listed.iter().map(|delivery| delivery.state == DeliveryState::Due).collect();
        assert_eq!(due, [true, false, true, false, true, true, true], "in order a channel");
        let again =
            bench.store.replay_deliveries(hook.id, HookReplay::FailedSince(EventId::START), at(3)).await.unwrap();
        assert_eq!(again, 0, "none has failed");
    }
}

#[tokio::test]
async fn an_endpoint_is_cleared_in_steps_from_its_newest_delivery_on() {
    for bench in benches().await {
        let acme = bench.platform("Acme").await;
        let (hook, other) = (bench.hook("https://a.test/").await, bench.hook("https://b.test/").await);
        bench.takes(&other, 0, 1, &[(1, 1)]).await;
        let events: Vec<_> = (1..=DELIVERIES_AT_ONCE as i64 + 2).map(|id| (id, 1)).collect();
        bench.takes(&hook, 0, 2000, &events).await;
        let first = bench.store.claim_deliveries(claim(at(3))).await.unwrap();
        let first = first.into_iter().find(|(_, whose)| whose.id == hook.id).expect("one is due").0;
        bench.ends(&first, 3, AfterAttempt::Delivered).await;
        let clear = async |owner| bench.store.clear_webhook(owner, hook.id, at(4)).await.unwrap();
        assert_eq!(clear(HookOwner::Platform(acme.id)).await, 0, "it is not theirs");
        assert_eq!(bench.hook_now(hook.id).await.disabled, None);
        assert_eq!(clear(HookOwner::Anybody).await, DELIVERIES_AT_ONCE);
        assert_eq!(bench.hook_now(hook.id).await.disabled.map(|off| off.at), Some(at(4)));
        let left = [("evt_1", DeliveryState::Delivered), ("evt_2", DeliveryState::Due)];
        assert_eq!(bench.states(&hook).await, named(&left), "the lane is as good as it was");
        assert_eq!(clear(HookOwner::Anybody).await, 2);
        assert_eq!(bench.states(&hook).await, []);
        assert_eq!(clear(HookOwner::Anybody).await, 0);
        assert_eq!(bench.states(&other).await.len(), 1, "nobody else's");
    }
}

#[tokio::test]
async fn what_ended_long_ago_is_removed() {
    for bench in benches().await {
        let hook = bench.hook("https://a.test/").await;
        bench.takes(&hook, 0, 3, &[(1, 1), (2, 2), (3, 3)]).await;
        let claimed = bench.claims(3).await;
        bench.ends(&claimed[0], 10, AfterAttempt::Delivered).await;
        bench.ends(&claimed[1], 20, AfterAttempt::GiveUp).await;
        assert_eq!(bench.store.prune_deliveries(at(10)).await.unwrap(), 0, "that instant itself is not before it");
        assert_eq!(bench.store.prune_deliveries(at(20)).await.unwrap(), 1);
        assert_eq!(bench.store.prune_deliveries(at(2000)).await.unwrap(), 1);
        assert_eq!(bench.states(&hook).await, named(&[("evt_3", DeliveryState::Due)]), "what is on its way stays");
        assert_eq!(bench.store.attempts(hook.id, claimed[0].id).await.unwrap(), None);
    }
}
