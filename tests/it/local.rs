//! Services on loopback: they start, die, come back with what they kept, and are gone with their owner.

use std::time::Duration;

use roost::local::{LocalNode, LocalPostgres, LocalRedis, NodePlan, PostgresPlan};

use crate::support::temp::TempDir;
use crate::support::{postgres, redis};

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_what_was_committed_over_its_death() {
    if !postgres::is_there("local: PostgreSQL") {
        return;
    }
    let mut server = LocalPostgres::start(&PostgresPlan::default()).unwrap();
    server.create_database("kept", None).await.unwrap();
    let url = server.url("kept");
    run(&url, "create table t (x bigint); insert into t values (42)").await.unwrap();
    server.kill();
    assert!(run(&url, "select 1").await.is_err(), "a dead server answers");
    server.start_again().unwrap();
    run(&url, "select 1 / count(*) from t").await.unwrap();
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    server.freeze();
    let waits = tokio::time::timeout(Duration::from_millis(300), client.batch_execute("select 1")).await;
    assert!(waits.is_err(), "a connection of a frozen server answers: {waits:?}");
    server.thaw();
    client.batch_execute("select 1").await.unwrap();
    server.stop();
    assert!(run(&url, "select 1").await.is_err(), "a stopped server answers");
    server.start_again().unwrap();
    run(&url, "select 1 / count(*) from t").await.unwrap();
    server.drop_database("kept").await.unwrap();
    assert!(run(&url, "select 1").await.is_err(), "a removed database answers");
}

async fn run(url: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute(sql).await
}

#[test]
fn redis_comes_back_empty_on_its_port() {
    if !redis::is_there("local: Redis") {
        return;
    }
    let mut server = LocalRedis::start().unwrap();
    server.flush().unwrap();
    let url = server.url();
    server.kill();
    assert!(server.flush().is_err(), "a dead server answers");
    server.start_again().unwrap();
    assert_eq!(server.url(), url);
    server.flush().unwrap();
    server.freeze();
    server.thaw();
    server.flush().unwrap();
}

#[test]
fn a_node_comes_back_on_its_port() {
    let folder = TempDir::new();
    let mut plan = NodePlan::new(folder.path()).unwrap();
    plan.program = env!("CARGO_BIN_EXE_roost").into();
    let mut node = LocalNode::start(plan).unwrap();
    let url = node.url();
    node.freeze();
    assert!(!node.lives(), "a frozen node says that it lives");
    node.thaw();
    assert!(node.lives());
    node.kill();
    assert!(!node.lives());
    node.start_again().unwrap();
    assert_eq!(node.url(), url);
    node.drain().unwrap();
    assert!(!node.lives());
}
