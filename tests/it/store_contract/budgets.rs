//! What purses give a day: put aside, settled, lapsed; and never more than there is, whoever comes at once.

use std::sync::Arc;

use roost::domain::{
    Allowance, ConversationId, Day, Left, Money, OverBudget, PlatformId, Purse, PurseKind, Spend, Timestamp, UserId,
};
use roost::store::SharedStore;
use roost::store::budgets::{BUDGETS_AT_ONCE, Reservation, Reserved, Spent};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::benches;
use crate::support::store::at;

const TODAY: Day = Day(20_000);
const TENANT: Purse = Purse::Tenant(None);
const USER: Purse = Purse::User(UserId(1));

const fn spend(tokens: u64, money: i64) -> Spend {
    Spend { tokens, money: Money(money) }
}

const fn limit(tokens: u64, money: i64) -> Allowance {
    Allowance { tokens: Some(tokens), money: Some(Money(money)) }
}

const fn left(tokens: u64, money: i64) -> Reserved {
    Reserved::Granted(Left { tokens: Some(tokens), money: Some(Money(money)) })
}

fn of(run: u128, purses: &[(Purse, Allowance)], amount: Spend) -> Reservation {
    Reservation { run: Uuid::from_u128(run), purses: purses.to_vec(), amount, day: TODAY, lapses_at: at(100) }
}

async fn reserve(store: &SharedStore, wanted: Reservation) -> Reserved {
    store.reserve_budget(wanted).await.unwrap()
}

async fn spent(store: &SharedStore, purse: Purse) -> Spent {
    store.budget_spent(purse, TODAY).await.unwrap()
}

async fn settle(store: &SharedStore, run: u128, actual: Spend) -> bool {
    store.settle_budget(Uuid::from_u128(run), actual).await.unwrap()
}

#[tokio::test]
async fn all_purses_give_or_none_does() {
    for bench in benches().await {
        let purses = [(TENANT, limit(1000, 500)), (USER, limit(100, 900))];
        assert_eq!(reserve(&bench.store, of(1, &purses, spend(60, 200))).await, left(40, 300), "the smallest of each");
        let over = reserve(&bench.store, of(2, &purses, spend(41, 1))).await;
        let left_of_all = Left { tokens: Some(40), money: Some(Money(300)) };
        assert_eq!(over, Reserved::Over(OverBudget { whose: PurseKind::User, left: left_of_all }));
        let over = reserve(&bench.store, of(3, &purses, spend(1, 301))).await;
        assert_eq!(over, Reserved::Over(OverBudget { whose: PurseKind::Tenant, left: left_of_all }));
        let one = Spent { spent: Spend::NOTHING, reserved: spend(60, 200) };
        assert_eq!((spent(&bench.store, TENANT).await, spent(&bench.store, USER).await), (one, one));
        assert_eq!(reserve(&bench.store, of(4, &purses, spend(40, 300))).await, left(0, 0), "to the last");
        assert!(!settle(&bench.store, 2, spend(1, 1)).await, "of what was refused there is nothing");
    }
}

#[tokio::test]
async fn what_an_answer_took_is_spent_once() {
    for bench in benches().await {
        let purses = [(TENANT, limit(100, 100)), (Purse::Address([7; 16]), limit(100, 100))];
        reserve(&bench.store, of(1, &purses, spend(80, 80))).await;
        assert!(settle(&bench.store, 1, spend(30, 20)).await);
        assert!(!settle(&bench.store, 1, spend(30, 20)).await, "a second time it does nothing");
        let took = Spent { spent: spend(30, 20), reserved: Spend::NOTHING };
        assert_eq!(spent(&bench.store, TENANT).await, took);
        let bench = bench.reopen().await;
        assert_eq!(spent(&bench.store, Purse::Address([7; 16])).await, took);
        reserve(&bench.store, of(2, &purses, spend(70, 0))).await;
        assert!(settle(&bench.store, 2, spend(500, 0)).await);
        assert_eq!(spent(&bench.store, TENANT).await.spent, spend(530, 20), "more than was put aside, and as it was");
        let over = reserve(&bench.store, of(3, &purses, spend(1, 0))).await;
        let nothing = Left { tokens: Some(0), money: Some(Money(80)) };
        assert_eq!(over, Reserved::Over(OverBudget { whose: PurseKind::Tenant, left: nothing }));
        assert_eq!(reserve(&bench.store, of(4, &purses, spend(0, 5))).await, left(0, 75), "it takes no tokens");
    }
}

#[tokio::test]
async fn a_run_has_one_reservation() {
    for bench in benches().await {
        let purses = [(TENANT, limit(100, 100))];
        assert_eq!(reserve(&bench.store, of(1, &purses, spend(60, 0))).await, left(40, 100));
        assert_eq!(reserve(&bench.store, of(1, &purses, spend(60, 0))).await, left(40, 100), "granted again");
        assert_eq!(spent(&bench.store, TENANT).await.reserved, spend(60, 0));
    }
}

#[tokio::test]
async fn a_day_knows_nothing_of_another() {
    for bench in benches().await {
        let purses = [(TENANT, limit(100, 100))];
        reserve(&bench.store, of(1, &purses, spend(100, 0))).await;
        let tomorrow = Reservation { day: Day(TODAY.0 + 1), ..of(2, &purses, spend(100, 0)) };
        assert_eq!(reserve(&bench.store, tomorrow).await, left(0, 100));
        settle(&bench.store, 1, spend(7, 0)).await;
        assert_eq!(spent(&bench.store, TENANT).await.spent, spend(7, 0));
        let next = bench.store.budget_spent(TENANT, Day(TODAY.0 + 1)).await.unwrap();
        assert_eq!(next, Spent { spent: Spend::NOTHING, reserved: spend(100, 0) });
    }
}

#[tokio::test]
async fn what_nobody_settles_lapses_and_is_spent() {
    for bench in benches().await {
        let purses = [(TENANT, limit(100, 100)), (USER, limit(100, 100))];
        reserve(&bench.store, of(1, &purses, spend(30, 3))).await;
        let later = Reservation { lapses_at: at(200), ..of(2, &purses, spend(20, 2)) };
        reserve(&bench.store, later).await;
        let lapse = async |before: Timestamp| bench.store.lapse_budgets(before).await.unwrap();
        assert_eq!((lapse(at(100)).await, lapse(at(101)).await, lapse(at(101)).await), (0, 1, 0));
        let both = Spent { spent: spend(30, 3), reserved: spend(20, 2) };
        assert_eq!((spent(&bench.store, TENANT).await, spent(&bench.store, USER).await), (both, both));
        assert_eq!(reserve(&bench.store, of(3, &purses, spend(51, 0))).await, {
            let tenant = Left { tokens: Some(50), money: Some(Money(95)) };
            Reserved::Over(OverBudget { whose: PurseKind::Tenant, left: tenant })
        });
        assert!(settle(&bench.store, 1, spend(10, 1)).await, "its node was only slow");
        assert!(!settle(&bench.store, 1, spend(10, 1)).await);
        assert_eq!(spent(&bench.store, USER).await, Spent { spent: spend(10, 1), reserved: spend(20, 2) });
        assert_eq!(lapse(Timestamp::MAX).await, 1);
        assert_eq!(spent(&bench.store, USER).await, Spent { spent: spend(30, 3), reserved: Spend::NOTHING });
    }
}

#[tokio::test]
async fn days_long_past_are_forgotten() {
    for bench in benches().await {
        let purses = [(TENANT, limit(100, 100)), (USER, limit(100, 100))];
        let on = |run, day| Reservation { day: Day(day), ..of(run, &purses, spend(1, 1)) };
        for (run, day) in [(1, 10), (2, 10), (3, 11), (4, 12)] {
            reserve(&bench.store, on(run, day)).await;
        }
        settle(&bench.store, 1, spend(1, 1)).await;
        let prune = async |before| bench.store.prune_budgets(Day(before)).await.unwrap();
        assert_eq!(prune(10).await, 0);
        assert_eq!(prune(12).await, 4, "two purses on two days");
        assert_eq!(bench.store.budget_spent(TENANT, Day(10)).await.unwrap(), Spent::default());
        assert_eq!(bench.store.budget_spent(TENANT, Day(12)).await.unwrap().reserved, spend(1, 1));
        assert!(settle(&bench.store, 2, spend(1, 1)).await, "what is under way is not forgotten");
        assert_eq!(bench.store.lapse_budgets(Timestamp::MAX).await.unwrap(), 2);
        assert_eq!(prune(12).await, 5, "two purses on two days again, and what lapsed on one of them");
        assert!(!settle(&bench.store, 3, spend(1, 1)).await);
        assert!(settle(&bench.store, 4, spend(1, 1)).await);
    }
}

#[tokio::test]
async fn many_lapse_a_bounded_number_at_a_time() {
    for bench in benches().await {
        let purses = [(TENANT, limit(u64::MAX, i64::MAX))];
        for run in 0..BUDGETS_AT_ONCE + 1 {
            reserve(&bench.store, of(run as u128, &purses, spend(1, 1))).await;
        }
        assert_eq!(bench.store.lapse_budgets(Timestamp::MAX).await.unwrap(), BUDGETS_AT_ONCE);
        assert_eq!(spent(&bench.store, TENANT).await.reserved, spend(1, 1));
        assert_eq!(bench.store.lapse_budgets(Timestamp::MAX).await.unwrap(), 1);
        let all = BUDGETS_AT_ONCE as u64 + 1;
        assert_eq!(spent(&bench.store, TENANT).await.spent, spend(all, all as i64));
    }
}

/// Strangers with a session and an address of their own each, who share a tenant's purse in two orders.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_at_once_spend_not_a_call_too_many() {
    const COME: u128 = 200;
    const ROOM: usize = 37;
    for bench in benches().await {
        let whole = limit(ROOM as u64 * 10 + 9, 1_000_000);
        let ask = |run: u128| {
            let own = limit(1000, 1000);
            let mut purses = vec![
                (Purse::Tenant(Some(PlatformId(3))), whole),
                (Purse::Session(ConversationId(run as i64)), own),
                (Purse::Address([(run % 5) as u8; 16]), limit(1000, 1000)),
            ];
            if run.is_multiple_of(2) {
                purses.reverse();
            }
            let store = Arc::clone(&bench.store);
            async move { (run, reserve(&store, of(run, &purses, spend(10, 1))).await) }
        };
        let asked: JoinSet<_> = (0..COME).map(ask).collect();
        let asked = asked.join_all().await;
        let granted: Vec<_> = asked.iter().filter(|(_, got)| matches!(got, Reserved::Granted(_))).collect();
        assert_eq!(granted.len(), ROOM);
        let tenant = Purse::Tenant(Some(PlatformId(3)));
        assert_eq!(spent(&bench.store, tenant).await.reserved, spend(ROOM as u64 * 10, ROOM as i64));
        let settled: JoinSet<_> = granted
            .iter()
            .map(|(run, _)| {
                let (store, run) = (Arc::clone(&bench.store), *run);
                async move { settle(&store, run, spend(run as u64 % 10, 1)).await }
            })
            .collect();
        assert!(settled.join_all().await.iter().all(|settled| *settled));
        let took = granted.iter().map(|(run, _)| *run as u64 % 10).sum();
        assert_eq!(
            spent(&bench.store, tenant).await,
            Spent { spent: spend(took, ROOM as i64), reserved: Spend::NOTHING }
        );
    }
}
