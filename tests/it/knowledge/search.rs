//! Searches by words and by meaning, and what becomes of them when whoever makes vectors is not there.

use reqwest::StatusCode;
use serde_json::json;

use super::{Librarian, Model};
use crate::support::app::TestApp;

#[tokio::test]
async fn what_is_meant_is_found_though_no_word_is_the_same() {
    let model = Model::start().await;
    let app = TestApp::with(|config| model.configure(config)).await;
    let lan = Librarian::new(&app, None, "lan", false).await;
    for (name, text) in [
        ("kites.txt", "A kite flies."),
        ("money.txt", "A refund takes three days."),
        ("boats.txt", "Our vessel floats."),
        ("tea.txt", "Tea with milk."),
    ] {
        let path = lan.publishes(name, text.as_bytes()).await;
        let document = lan.reads(&path).await;
        assert_eq!((&document["vector_status"], document["vector_id"].is_string()), (&json!("vectorized"), true));
    }
    assert_eq!(lan.finds("how do I get my money back?").await[0], "money.txt");
    assert_eq!(lan.finds("string in the sky").await[0], "kites.txt");
    // Both rankings know it, so that it comes before what only one of them knows.
    assert_eq!(lan.finds("milk for a boat").await[..2].iter().collect::<std::collections::BTreeSet<_>>().len(), 2);
    assert!(app.figure("vector_bytes").await > 0.0);
    let found = lan.searches(json!({"query": "hot drink", "top_k": 1})).await;
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(found[0]["document_title"], "tea.txt");
}

#[tokio::test]
async fn words_go_on_when_no_vectors_are_made() {
    let model = Model::start().await;
    let app = TestApp::with(|config| model.configure(config)).await;
    let lan = Librarian::new(&app, None, "lan", false).await;
    let money = lan.publishes("money.txt", b"A refund takes three days.").await;
    *model.fails.lock().unwrap() = Some(StatusCode::BAD_GATEWAY);
    assert_eq!(lan.finds("refund").await, ["money.txt"]);
    assert!(lan.finds("money back").await.is_empty(), "only vectors would find it");
    let boats = lan.uploads("boats.txt", b"Our vessel floats.").await;
    assert_eq!(lan.steps(&boats, "chunk").await.0, StatusCode::OK);
    let asked = model.asked.lock().unwrap().len();
    let (status, body) = lan.steps(&boats, "vectorize").await;
    assert_eq!((status, &body["success"]), (StatusCode::BAD_REQUEST, &json!(false)), "{body}");
    assert_eq!(body["message"], "The embeddings could not be made: try again later.");
    assert_eq!(model.asked.lock().unwrap().len() - asked, 3, "it was tried again");
    assert_eq!(lan.reads(&boats).await["state"], "chunked");
    *model.fails.lock().unwrap() = None;
    assert_eq!(lan.steps(&boats, "vectorize").await.0, StatusCode::OK);
    assert_eq!(lan.finds("boat").await[0], "boats.txt");
    assert_eq!(lan.steps(&money, "remove-from-vectordb").await.0, StatusCode::OK);
    assert!(!lan.finds("money back").await.contains(&"money.txt".to_owned()), "its vectors went with it");
}

#[tokio::test]
async fn many_chunks_are_embedded_some_at_a_time_and_one_document_can_be_searched_alone() {
    let model = Model::start().await;
    let app = TestApp::with(|config| {
        model.configure(config);
        config.knowledge.chunk_chars = 100;
        config.knowledge.chunk_overlap_chars = 0;
    })
    .await;
    let lan = Librarian::new(&app, None, "lan", false).await;
    let long: String = (0..700)
        .map(|n| format!("Line {n} is about nothing that matters, and it is long enough for a chunk of its own.\n\n"))
        .collect();
    let long = lan.publishes("long.txt", format!("{long}At the end there is a kite.").as_bytes()).await;
    let kites = lan.publishes("kites.txt", b"A kite flies.").await;
    assert!(lan.reads(&long).await["chunk_count"].as_u64().unwrap() >= 700);
    assert!(model.asked.lock().unwrap().iter().all(|texts| *texts <= 32));
    let alone = async |path: &str| {
        let id = path.trim_end_matches('/').rsplit('/').next().unwrap().to_owned();
        lan.searches(json!({"query": "kite", "top_k": 3, "document_id": id})).await
    };
    let found = alone(&kites).await;
    assert_eq!((found.as_array().unwrap().len(), &found[0]["document_title"]), (1, &json!("kites.txt")));
    assert!(alone(&long).await[0]["text"].as_str().unwrap().contains("At the end"));
}
