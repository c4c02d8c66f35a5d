//! A tenant with more vectors than fit into memory: found in the database where that compares vectors, else by words alone.

use super::{Librarian, Model};
use crate::support::app::{TestApp, until_async};
use crate::support::postgres::{self, Database};
use crate::support::redis;

#[tokio::test]
async fn what_does_not_fit_into_memory_is_searched_in_the_database() {
    let suite = "searches in the database";
    if !postgres::has_vectors(suite) || !redis::is_there(suite) {
        return;
    }
    let (model, database) = (Model::start().await, Database::with_vectors().await);
    let app = TestApp::with(|config| {
        model.configure(config);
        config.knowledge.vectors_mib_max = 0;
        config.store.url.clone_from(&database.url);
        config.redis.url = redis::url();
        config.redis.prefix = redis::prefix();
    })
    .await;
    let acme = app.app.chat.add_platform("Acme").await.unwrap();
    let ana = Librarian::new(&app, Some(&acme), "ana", false).await;
    let lan = Librarian::new(&app, None, "lan", false).await;
    let money = ana.publishes("money.txt", b"A refund takes three days.").await;
    lan.publishes("others.txt", b"A refund of somebody else.").await;
    until_async(async || ana.finds("my money back").await == ["money.txt"]).await;
    assert_eq!(app.figure("vector_bytes").await, 0.0, "none of it is in memory");
    ana.steps(&money, "remove-from-vectordb").await;
    assert!(ana.finds("my money back").await.is_empty());
}

#[tokio::test]
async fn what_does_not_fit_into_memory_is_found_by_its_words() {
    let model = Model::start().await;
    let app = TestApp::with(|config| {
        model.configure(config);
        config.knowledge.vectors_mib_max = 0;
    })
    .await;
    let lan = Librarian::new(&app, None, "lan", false).await;
    lan.publishes("money.txt", b"A refund takes three days.").await;
    assert_eq!(lan.finds("a refund").await, ["money.txt"]);
}
