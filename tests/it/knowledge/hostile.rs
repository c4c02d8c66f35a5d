//! Files that are made to do harm cost a bounded time and memory, are refused with a sentence, and nobody else suffers.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::Librarian;
use super::files::{docx, locked_pdf, paragraph, pdf};
use crate::support::app::TestApp;

/// Refused, within a time, and the server goes on.
async fn refused(lan: &Librarian<'_>, name: &str, file: &[u8], want: &[&str]) {
    let path = lan.uploads(name, file).await;
    let began = Instant::now();
    let (status, body) = lan.steps(&path, "chunk").await;
    assert!(began.elapsed() < Duration::from_secs(50), "{name} took {:?}", began.elapsed());
    assert_eq!((status, &body["success"]), (StatusCode::BAD_REQUEST, &json!(false)), "{name}: {body}");
    let said = body["message"].as_str().unwrap().to_owned();
    assert!(want.iter().any(|want| said.contains(want)), "{name}: {said}");
    let document = lan.reads(&path).await;
    assert_eq!((&document["state"], &document["error"]), (&json!("uploaded"), &json!(said)), "{name}");
    assert_eq!(document["vector_status"], "failed");
    assert_eq!(lan.ask(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn hostile_files_are_refused_with_a_sentence() {
    let app = TestApp::with(|config| {
        // Enough for ten thousand pages in a build without optimisation, beside other tests.
        config.knowledge.extract_timeout_s = 60;
        config.knowledge.extract_memory_mib = 512;
    })
    .await;
    let lan = Librarian::new(&app, None, "lan", false).await;
    let too_much = &["too much text", "too much time or memory"];
    // 300 MB of markup, and 40 MB of text, in a few hundred kilobytes.
    let markup = docx((0..300).map(|_| "<w:p></w:p>".repeat(90_000)));
    refused(&lan, "bomb.docx", &markup, too_much).await;
    let line = paragraph(&"wind ".repeat(200_000));
    refused(&lan, "text.docx", &docx((0..40).map(|_| line.clone())), too_much).await;
    refused(&lan, "locked.pdf", &locked_pdf(), &["password"]).await;
    refused(&lan, "long.pdf", &pdf(&vec!["page"; 10_000], ""), &["too many pages", "too much time or memory"]).await;
    refused(&lan, "blank.pdf", &pdf(&[""], ""), &["no text"]).await;
    refused(&lan, "torn.pdf", b"%PDF-1.7\n1 0 obj << /Type /Catalog", &["damaged"]).await;
    refused(
        &lan,
        "deep.pdf",
        format!("%PDF-1.4\n1 0 obj\n{}", "[".repeat(2_000_000)).as_bytes(),
        &["damaged", "too much"],
    )
    .await;
    refused(&lan, "no.docx", b"PK\x03\x04 not really", &["damaged"]).await;
    refused(&lan, "odd.docx", &docx(["<w:p><w:t>never closed".to_owned()].into_iter()), &["damaged"]).await;
    lan.publishes("good.txt", b"good").await;
    assert_eq!(lan.finds("good").await, ["good.txt"]);
}

#[tokio::test]
async fn a_worker_that_hangs_is_killed_and_others_have_their_turn() {
    let folder = crate::support::temp::TempDir::new();
    let hangs = folder.path().join("hangs");
    std::fs::write(&hangs, "#!/bin/sh\nexec sleep 600\n").unwrap();
    std::fs::set_permissions(&hangs, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let app = TestApp::with(|config| {
        config.knowledge.extractor = hangs.display().to_string();
        config.knowledge.extract_timeout_s = 1;
        config.knowledge.extract_at_once = 1;
    })
    .await;
    let lan = Librarian::new(&app, None, "lan", false).await;
    let (one, two) = (lan.uploads("one.txt", b"one").await, lan.uploads("two.txt", b"two").await);
    let ((first, said), (second, also)) = tokio::join!(lan.steps(&one, "chunk"), lan.steps(&two, "chunk"));
    let is_told = |status: StatusCode| matches!(status.as_u16(), 400 | 503);
    assert!(is_told(first) && is_told(second), "{said} {also}");
    assert!(said["message"].as_str().or(also["message"].as_str()).unwrap().contains("too much time"), "{said} {also}");
}

#[tokio::test]
async fn work_that_a_crash_cut_off_can_be_begun_again_when_its_claim_has_lapsed() {
    let app = TestApp::start().await;
    let lan = Librarian::new(&app, None, "lan", false).await;
    let path = lan.uploads("kites.txt", b"Kites fly.").await;
    assert_eq!(lan.steps(&path, "chunk").await.0, StatusCode::OK);
    let uuid = path.trim_end_matches('/').rsplit('/').next().unwrap().parse().unwrap();
    let shelf = roost::store::knowledge::Shelf { platform_id: None, user_id: None };
    let document = app.app.store.document(shelf, uuid).await.unwrap().unwrap();
    let now = app.clock.now();
    let until = now.plus(Duration::from_secs(60));
    let take = roost::store::knowledge::Take { now, until, is_processing: true, is_alone: false };
    app.app.store.take_document(document.id, vec![document.state], take).await.unwrap().unwrap();
    assert_eq!(lan.reads(&path).await["state"], "processing");
    assert_eq!(lan.steps(&path, "vectorize").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(lan.ask(Method::DELETE, &path, None).await.0, StatusCode::FORBIDDEN);
    app.clock.advance(Duration::from_secs(61));
    assert_eq!(lan.steps(&path, "vectorize").await.0, StatusCode::OK);
    assert_eq!(lan.finds("kites").await, ["kites.txt"]);
}
