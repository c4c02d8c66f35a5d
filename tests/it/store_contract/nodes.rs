//! The servers over one store, and the runs of those that are not there any more.

use roost::domain::{Node, RunOutcome, Timestamp};
use uuid::Uuid;

use super::benches;
use crate::support::store::{answer, assistant_session, at, new_run, run_end};

#[tokio::test]
async fn a_node_is_there_from_its_first_beat_until_it_leaves() {
    for bench in benches().await {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(bench.store.nodes().await.unwrap(), []);
        bench.store.beat(two, "b".to_owned(), at(1)).await.unwrap();
        bench.store.beat(one, "a".to_owned(), at(2)).await.unwrap();
        bench.store.beat(two, "b2".to_owned(), at(5)).await.unwrap();
        bench.store.beat(two, "b2".to_owned(), at(3)).await.unwrap();
        let node = |id, name: &str, started, seen| Node {
            id,
            name: name.to_owned(),
            started_at: at(started),
            seen_at: at(seen),
        };
        let all = [node(two, "b2", 1, 5), node(one, "a", 2, 2)];
        assert_eq!(bench.store.nodes().await.unwrap(), all, "in the order of their starts, seen last at the latest");
        let bench = bench.reopen().await;
        bench.store.leave(two).await.unwrap();
        bench.store.leave(two).await.unwrap();
        assert_eq!(bench.store.nodes().await.unwrap(), all[1..]);
    }
}

#[tokio::test]
async fn the_open_runs_of_nodes_that_were_not_seen_are_found() {
    for bench in benches().await {
        let (stale, fresh, unknown) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        bench.store.beat(stale, "stale".to_owned(), at(10)).await.unwrap();
        bench.store.beat(fresh, "fresh".to_owned(), at(20)).await.unwrap();
        let session = bench.add(assistant_session("a")).await;
        let question = bench.say(&session, "?").await;
        let mut runs = Vec::new();
        for node in [stale, fresh, unknown] {
            runs.push(bench.store.begin_run(new_run(&question, node)).await.unwrap().id);
        }
        let open = async |before: Timestamp| {
            bench.store.open_runs(before).await.unwrap().iter().map(|open| open.run.id).collect::<Vec<_>>()
        };
        assert_eq!(open(at(10)).await, [runs[2]], "who was seen at that very instant is there");
        assert_eq!(open(at(11)).await, [runs[0], runs[2]]);
        assert_eq!(open(Timestamp(i64::MAX)).await, runs);
        bench.store.beat(stale, "stale".to_owned(), at(12)).await.unwrap();
        assert_eq!(open(at(11)).await, [runs[2]], "it was alive");
        bench.store.leave(fresh).await.unwrap();
        assert_eq!(open(at(11)).await, [runs[1], runs[2]], "of whoever left, nobody makes them any more");
        let ended =
            bench.store.end_run(runs[1], run_end(RunOutcome::Completed, Some(answer(&question, "42")))).await.unwrap();
        assert!(ended.is_some() && open(Timestamp(i64::MAX)).await == [runs[0], runs[2]]);
    }
}
