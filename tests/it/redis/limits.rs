//! Limits that all nodes count together.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::clock::FakeRelativeClock;
use governor::middleware::StateInformationMiddleware;
use governor::{Quota, RateLimiter};
use proptest::prelude::{Strategy as _, any};
use roost::clock::Clock;
use roost::limits::{Attempts, BUCKET, Limit, LimitKey, Shared};
use roost::redis::{Redis, RedisOptions, cmd};

use super::server::{Cluster, Server};
use crate::support::app::until;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// Longer than any answer takes on a busy machine.
const WAIT: Duration = Duration::from_secs(5);

async fn shared(url: &str, wait: Duration, nodes: u32) -> Shared {
    let redis = Redis::open(RedisOptions::new(url, "t", wait).expect("an address"));
    assert!(redis.connected(Duration::from_secs(20)).await);
    Shared::new(redis, nodes)
}

fn limit(per_minute: u32, shared: &Shared) -> Limit {
    Limit::new(NonZeroU32::new(per_minute).expect("a limit"), 100).shared("send", shared.clone())
}

/// How many of so many requests are granted.
async fn granted(limit: &Limit, key: LimitKey, requests: usize) -> usize {
    let mut granted = 0;
    for _ in 0..requests {
        granted += usize::from(limit.check(key).await.retry_after.is_none());
    }
    granted
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_share_one_budget() {
    let Some(server) = Server::start().await else { return };
    share_one_budget(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_share_one_budget_in_a_cluster() {
    let Some(cluster) = Cluster::start().await else { return };
    share_one_budget(&cluster.url()).await;
}

/// Five a minute: in the moment that it takes none is earned back.
async fn share_one_budget(url: &str) {
    let (a, b) = (shared(url, WAIT, 0).await, shared(url, WAIT, 0).await);
    let (one, two) = (limit(5, &a), limit(5, &b));
    for key in [LimitKey::User(1), LimitKey::Address(HERE), LimitKey::Conversation(1, HERE)] {
        assert_eq!(one.check(key).await.remaining, 4);
        assert_eq!(two.check(key).await.remaining, 3);
        assert_eq!(granted(&one, key, 2).await, 2);
        assert_eq!(granted(&two, key, 3).await, 1);
        let wait = one.check(key).await.retry_after.expect("refused");
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(12), "{wait:?}");
    }
    let other = Limit::new(NonZeroU32::new(5).expect("a limit"), 100).shared("poll", a);
    assert_eq!(granted(&other, LimitKey::User(1), 9).await, 5, "limits are counted apart");
    assert_eq!((one.refusals(), two.refusals(), other.refusals()), (3, 6, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_each_node_grants_its_share_at_once() {
    let Some(mut server) = Server::start().await else { return };
    let shared = shared(&server.url(), WAIT, 0).await;
    shared.saw_nodes(3);
    let limit = limit(9, &shared);
    assert_eq!(limit.check(LimitKey::User(1)).await.limit, 9);
    server.kill();
    until(|| !shared.redis().is_up()).await;
    let began = Instant::now();
    assert_eq!(granted(&limit, LimitKey::User(1), 100).await, 3);
    assert!(began.elapsed() < WAIT, "nobody waits for who is away");
    shared.saw_nodes(1000);
    assert_eq!(granted(&limit, LimitKey::User(2), 100).await, 1, "at least one");
    server.again().await;
    until(|| shared.redis().is_up()).await;
    assert_eq!(granted(&limit, LimitKey::User(1), 100).await, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_frozen_one_request_waits_and_the_others_do_not() {
    let Some(server) = Server::start().await else { return };
    let wait = Duration::from_millis(200);
    let shared = shared(&server.url(), wait, 2).await;
    let limit = limit(10, &shared);
    limit.check(LimitKey::User(1)).await;
    server.freeze();
    let began = Instant::now();
    assert_eq!(granted(&limit, LimitKey::User(1), 1000).await, 5);
    assert!(began.elapsed() < wait * 5, "a thousand requests waited for {:?}", began.elapsed());
    server.thaw();
    until(|| shared.redis().is_up()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_remember_wrong_passwords_together() {
    let Some(mut server) = Server::start().await else { return };
    let shared = shared(&server.url(), WAIT, 2).await;
    let node = || Attempts::new(4, Duration::from_secs(900), 100).shared(shared.clone());
    let (a, b, now) = (node(), node(), Clock::system().now());
    let (account, elsewhere) = ([1; 16], IpAddr::from([198, 51, 100, 7]));
    for node in [&a, &b, &a, &b, &a, &b, &a] {
        node.failed(account, HERE, now).await;
    }
    for node in [&a, &b] {
        let wait = node.wait(account, elsewhere, now).await.expect("eight seconds");
        assert!(wait > Duration::from_secs(3) && wait <= Duration::from_secs(8), "{wait:?}");
        assert!(node.wait([2; 16], HERE, now).await.is_some(), "the address waits, too");
        assert!(node.wait([2; 16], elsewhere, now).await.is_none());
    }
    b.succeeded(account).await;
    assert!(a.wait(account, elsewhere, now).await.is_none());
    assert!(a.wait(account, HERE, now).await.is_some(), "the address does not get off");
    server.kill();
    until(|| !shared.redis().is_up()).await;
    // Four of the seven came to this node, and its share of four free tries is two.
    assert_eq!(a.wait([2; 16], HERE, now).await, Some(Duration::from_secs(4)));
}

/// What is asked: after so many microseconds.
fn requests() -> impl proptest::strategy::Strategy<Value = (u32, Vec<u64>)> {
    let pause = proptest::prop_oneof![0..1000_u64, 0..2_000_000_u64, 0..90_000_000_u64];
    (1..500_u32, proptest::collection::vec((any::<bool>(), pause), 1..60)).prop_map(|(limit, pauses)| {
        (limit, pauses.into_iter().map(|(is_burst, pause)| if is_burst { 0 } else { pause }).collect())
    })
}

/// The script with an instant that is given to it instead of the server's, and with keys that outlive the test: the
/// clock is all that is replaced.
#[tokio::test(flavor = "multi_thread")]
async fn the_script_grants_what_the_limiter_in_memory_grants() {
    let Some(server) = Server::start().await else { return };
    let script = BUCKET.replace("redis.call('TIME')", "{ARGV[3], ARGV[4]}");
    let script = script.replace("'PX', ", "'PX', 600000 + ");
    assert!(script.contains("ARGV[3]") && script.contains("600000"));
    let script = roost::redis::Script::new(&script);
    let redis = Redis::open(RedisOptions::new(&server.url(), "t", WAIT).expect("an address"));
    assert!(redis.connected(WAIT).await);
    let mut runner = proptest::test_runner::TestRunner::new(proptest::test_runner::Config::with_cases(64));
    let runtime = tokio::runtime::Handle::current();
    let check = |(limit, pauses): (u32, Vec<u64>)| {
        runtime.block_on(async {
            server.ask::<()>(&cmd("FLUSHALL")).await;
            agree(&redis, &script, limit, &pauses).await;
        });
        Ok(())
    };
    tokio::task::block_in_place(|| runner.run(&requests(), check)).expect("they agree");
}

async fn agree(redis: &Redis, script: &roost::redis::Script, limit: u32, pauses: &[u64]) {
    // An interval without a remainder: what is compared is the rule, not the rounding.
    let every = u64::from(60_000_000 / limit);
    let clock = FakeRelativeClock::default();
    let quota = Quota::with_period(Duration::from_micros(every)).expect("a period");
    let quota = quota.allow_burst(NonZeroU32::new(limit).expect("a limit"));
    let memory = RateLimiter::direct_with_clock(quota, clock.clone()).with_middleware::<StateInformationMiddleware>();
    let mut now: u64 = 1_700_000_000_000_000;
    for pause in pauses {
        clock.advance(Duration::from_micros(*pause));
        now += pause;
        let want = match memory.check() {
            Ok(state) => (true, state.remaining_burst_capacity(), 0),
            Err(refused) => {
                let wait = refused.wait_time_from(governor::clock::Clock::now(&clock));
                (false, 0, u64::try_from(wait.as_micros()).expect("it fits"))
            }
        };
        let mut call = script.key("bucket");
        call.arg(every).arg(limit).arg(now / 1_000_000).arg(now % 1_000_000);
        let got: (bool, u32, u64) = redis.call("bucket", &call).await.expect("an answer");
        assert_eq!(got, want, "limit {limit}, pauses {pauses:?}, at {now}");
    }
}
