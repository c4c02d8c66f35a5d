//! Documents' lives: uploaded, chunked, live, removed, deleted; who may do what, and how refusals are worded.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::files::{docx, paragraph, pdf};
use super::{DOCUMENTS, Librarian};
use crate::support::app::TestApp;

#[tokio::test]
async fn a_document_goes_live_is_found_and_goes() {
    let app = TestApp::start().await;
    let lan = Librarian::new(&app, None, "lan", false).await;
    let (status, made) = lan.sends("kites.txt", b"Kites fly.\n\nThey need wind & string.", Some(" Kites ")).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let id = made["id"].as_str().unwrap().to_owned();
    let path = format!("{DOCUMENTS}{id}/");
    let file_url = format!("{}{path}download/", app.url);
    for (field, want) in [
        ("title", json!("Kites")),
        ("file_type", json!("txt")),
        ("state", json!("uploaded")),
        ("vector_status", json!("none")),
        ("vector_id", Value::Null),
        ("is_vectorized", json!(false)),
        ("vectorized_at", Value::Null),
        ("chunk_count", json!(0)),
        ("is_active", json!(true)),
        ("error", Value::Null),
        ("file_url", json!(file_url)),
    ] {
        assert_eq!(made[field], want, "{field}: {made}");
    }
    assert_eq!(made["uploaded_by"]["email"], "lan@example.test");
    let (status, body) = lan.steps(&path, "vectorize").await;
    assert_eq!((status, &body["success"]), (StatusCode::BAD_REQUEST, &json!(false)), "{body}");
    assert_eq!(
        body["message"],
        "The document is uploaded, or somebody works on it: it has to be chunked or removed_from_vectordb."
    );
    let (status, body) = lan.steps(&path, "chunk").await;
    assert_eq!((status, &body["chunks_created"]), (StatusCode::OK, &json!(1)), "{body}");
    assert_eq!(lan.reads(&path).await["state"], "chunked");
    assert!(lan.finds("wind").await.is_empty(), "it is not live");
    let (status, body) = lan.steps(&path, "vectorize").await;
    assert_eq!((status, &body["vectors_uploaded"]), (StatusCode::OK, &json!(0)), "no vectors are made here: {body}");
    let live = lan.reads(&path).await;
    assert_eq!(
        (&live["state"], &live["vector_status"], &live["is_vectorized"]),
        (&json!("live"), &json!("words"), &json!(true))
    );
    assert!(live["vectorized_at"].is_string());
    let found = lan.searches(json!({"query": "what do they need? WIND"})).await;
    assert_eq!(found[0]["text"], "Kites fly.\n\nThey need wind & string.");
    assert_eq!((&found[0]["document_id"], &found[0]["chunk_id"]), (&json!(id), &json!(format!("{id}-chunk-1"))));
    assert_eq!(found[0]["url"], format!("{}{path}view/", app.url));
    assert!(found[0]["score"].as_f64().unwrap() > 0.0);
    let chunks = lan.reads(&format!("{path}chunks/")).await;
    assert_eq!((&chunks["total_chunks"], &chunks["document_title"]), (&json!(1), &json!("Kites")));
    assert_eq!((&chunks["chunks"][0]["chunk_index"], &chunks["chunks"][0]["text_length"]), (&json!(0), &json!(36)));
    assert_eq!(lan.reads(&format!("{path}?include_chunks=true")).await["chunks"], chunks["chunks"]);
    let (status, body) = lan.ask(Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{body}");
    assert!(body["detail"].as_str().unwrap().contains("live"), "{body}");
    let (status, body) = lan.steps(&path, "remove-from-vectordb").await;
    assert_eq!((status, &body["success"]), (StatusCode::OK, &json!(true)), "{body}");
    assert_eq!(lan.reads(&path).await["state"], "removed_from_vectordb");
    assert!(lan.finds("wind").await.is_empty());
    assert_eq!(lan.steps(&path, "vectorize").await.0, StatusCode::OK);
    assert_eq!(lan.finds("wind").await, ["Kites"]);
    assert_eq!(lan.steps(&path, "remove-from-vectordb").await.0, StatusCode::OK);
    assert_eq!(lan.ask(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    let (status, body) = lan.ask(Method::GET, &path, None).await;
    assert_eq!((status, &body["detail"]), (StatusCode::NOT_FOUND, &json!("No Document matches the given query.")));
    let objects = roost::objects::Objects::folder(&app.config.data.join("objects"), false).unwrap();
    assert!(objects.keys().await.unwrap().is_empty(), "its bytes are gone");
    assert!(app.app.store.condemned_documents(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn text_is_taken_out_of_every_kind_of_file() {
    let app = TestApp::start().await;
    let lan = Librarian::new(&app, None, "lan", false).await;
    let word = docx([paragraph("Otters &amp; wind"), paragraph("second")].into_iter());
    for (name, file, kind, text) in [
        ("a.pdf", pdf(&["Otters fly", "on page two"], ""), "pdf", &["Otters fly", "on page two"][..]),
        ("b.docx", word, "docx", &["Otters & wind\n\nsecond"]),
        (
            "c.html",
            b"<!doctype html><title>x</title><h1>Otters</h1><p>of <b>paper</b>".to_vec(),
            "html",
            &["Otters\n\nof paper"],
        ),
        ("d.md", b"# Otters\n\n*red* ones".to_vec(), "md", &["Otters\n\nred ones"]),
        ("e", b"\xEF\xBB\xBFOtters, \xE1\xBA\xA3nh".to_vec(), "txt", &["Otters, ảnh"]),
    ] {
        let path = lan.publishes(name, &file).await;
        assert_eq!(lan.reads(&path).await["file_type"], kind, "{name}");
        let chunks = lan.reads(&format!("{path}chunks/")).await;
        let read = chunks["chunks"][0]["text"].as_str().unwrap();
        assert!(text.iter().all(|text| read.contains(text)), "{name}: {read:?}");
    }
    assert_eq!(lan.finds("otters").await.len(), 5);
    let stats = lan.reads("/api/knowledgebase/stats/").await;
    let want = json!({"total_documents": 5, "active_documents": 5, "vectorized": 5,
        "by_type": {"pdf": 1, "txt": 1, "docx": 1, "html": 1, "md": 1}});
    assert_eq!(stats, want);
}

#[tokio::test]
async fn documents_are_listed_edited_and_sent() {
    let app = TestApp::start().await;
    let lan = Librarian::new(&app, None, "lan", false).await;
    let page = lan.uploads("page.html", b"<html><script>alert(1)</script>wind</html>").await;
    for n in 0..3 {
        lan.uploads(&format!("n{n}.txt"), b"text").await;
    }
    let list = lan.reads(&format!("{DOCUMENTS}?page_size=2&page=2")).await;
    assert_eq!((&list["count"], list["results"].as_array().unwrap().len()), (&json!(4), 2));
    assert_eq!((&list["next"], list["previous"].is_string()), (&Value::Null, true), "{list}");
    assert_eq!(lan.reads(&format!("{DOCUMENTS}?search=PAGE&file_type=html&state=uploaded")).await["count"], 1);
    let (status, body) = lan.ask(Method::GET, &format!("{DOCUMENTS}?page=9"), None).await;
    assert_eq!((status, body), (StatusCode::NOT_FOUND, json!({"detail": "Invalid page."})));
    let (status, edited) = lan.ask(Method::PATCH, &page, Some(json!({"title": "Wind", "is_active": false}))).await;
    assert_eq!((status, &edited["title"], &edited["is_active"]), (StatusCode::OK, &json!("Wind"), &json!(false)));
    assert_eq!(lan.ask(Method::PUT, &page, Some(json!({}))).await.1["title"], "Wind");
    let (status, body) = lan.ask(Method::PATCH, &page, Some(json!({"title": " ", "is_active": "perhaps"}))).await;
    assert_eq!((status, &body["is_active"]), (StatusCode::BAD_REQUEST, &json!(["Must be a valid boolean."])), "{body}");
    for (path, disposition, kind) in
        [("download/", "attachment", "application/octet-stream"), ("view", "inline", "text/plain; charset=utf-8")]
    {
        let request = app.request(Method::GET, &format!("{page}{path}")).bearer_auth(&lan.token);
        let sent = request.send().await.unwrap();
        let header = |name: &str| sent.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-disposition").starts_with(disposition), "{}", header("content-disposition"));
        assert_eq!(header("content-type"), kind);
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert!(header("content-security-policy").contains("sandbox"));
        assert_eq!(sent.text().await.unwrap(), "<html><script>alert(1)</script>wind</html>");
    }
}

#[tokio::test]
async fn refusals_have_django_rest_frameworks_words() {
    let app = TestApp::with(|config| config.knowledge.bytes_max = 1000).await;
    let lan = Librarian::new(&app, None, "lan", false).await;
    let weak = Librarian::able(&app, None, "weak", false, "assistant").await;
    let search = format!("{DOCUMENTS}search/");
    let nowhere = format!("{DOCUMENTS}0a1b2c3d-0000-4000-8000-000000000000/");
    let (status, body) = app.get(DOCUMENTS).await;
    assert_eq!(
        (status, body),
        (StatusCode::UNAUTHORIZED, json!({"detail": "Authentication credentials were not provided."}))
    );
    let (status, body) = weak.ask(Method::GET, DOCUMENTS, None).await;
    assert_eq!(
        (status, body),
        (StatusCode::FORBIDDEN, json!({"detail": "You do not have permission to perform this action."}))
    );
    let no_query = json!({"success": false, "error": "Query is required"});
    let no_match = json!({"detail": "No Document matches the given query."});
    let not_found = json!({"detail": "Not found."});
    for (method, path, body, status, want) in [
        (Method::POST, search.as_str(), Some(json!({})), 400, no_query.clone()),
        (Method::POST, &search, Some(json!({"query": "  ", "top_k": "x"})), 400, no_query),
        (Method::POST, &search, Some(json!({"query": 7})), 400, json!({"query": ["Not a valid string."]})),
        (
            Method::POST,
            &search,
            Some(json!({"query": "a", "top_k": 0})),
            400,
            json!({"top_k": ["Ensure this value is greater than 0."]}),
        ),
        (
            Method::POST,
            &search,
            Some(json!({"query": "a", "document_id": "x"})),
            400,
            json!({"document_id": ["Must be a valid UUID."]}),
        ),
        (Method::GET, &nowhere, None, 404, no_match.clone()),
        (Method::POST, &format!("{nowhere}chunk/"), None, 404, no_match.clone()),
        (Method::GET, "/api/knowledgebase/documents/7/", None, 404, no_match),
        (Method::GET, "/api/knowledgebase/nothing", None, 404, not_found),
        (Method::PUT, &search, None, 405, json!({"detail": "Method \"PUT\" not allowed."})),
    ] {
        let (got, said) = lan.ask(method.clone(), path, body).await;
        assert_eq!((got.as_u16(), said), (status, want), "{method} {path}");
    }
    let png = b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
    for (name, file, want) in [
        (
            "a.pdf",
            &png[..],
            "The file's content is image/png: only PDF, DOCX, HTML, Markdown and plain text are taken, under names that say the same.",
        ),
        ("a.txt", b"", "The submitted file is empty."),
        ("a.txt", &[b'a'; 1001], "Ensure this file has no more than 1000 bytes."),
    ] {
        let (status, body) = lan.sends(name, file, None).await;
        assert_eq!((status, body), (StatusCode::BAD_REQUEST, json!({"file": [want]})), "{name}");
    }
    let (status, body) = lan.ask(Method::POST, DOCUMENTS, Some(json!({}))).await;
    assert_eq!((status, body["detail"].is_string()), (StatusCode::UNSUPPORTED_MEDIA_TYPE, true), "{body}");
    let objects = roost::objects::Objects::folder(&app.config.data.join("objects"), false).unwrap();
    crate::support::app::until_async(async || objects.keys().await.unwrap().is_empty()).await;
    assert_eq!(lan.reads(DOCUMENTS).await["count"], 0);
}

#[tokio::test]
async fn own_documents_are_seen_and_staff_sees_the_tenants() {
    let app = TestApp::start().await;
    let acme = app.app.chat.add_platform("Acme").await.unwrap();
    let (ana, ben) =
        (Librarian::new(&app, Some(&acme), "ana", false).await, Librarian::new(&app, Some(&acme), "ben", false).await);
    let boss = Librarian::new(&app, Some(&acme), "boss", true).await;
    let (nina, outside) =
        (Librarian::new(&app, None, "nina", false).await, Librarian::new(&app, None, "eve", true).await);
    let anas = ana.publishes("anas.txt", b"otters of Ana").await;
    nina.publishes("ninas.txt", b"otters of Nina").await;
    assert_eq!(ana.finds("otters").await, ["anas.txt"]);
    assert_eq!(boss.finds("otters").await, ["anas.txt"]);
    assert!(ben.finds("otters").await.is_empty());
    assert_eq!(outside.finds("otters").await, ["ninas.txt"]);
    for stranger in [&ben, &nina, &outside] {
        assert_eq!(stranger.ask(Method::GET, &anas, None).await.0, StatusCode::NOT_FOUND);
        assert_eq!(stranger.steps(&anas, "remove-from-vectordb").await.0, StatusCode::NOT_FOUND);
        assert_eq!(stranger.ask(Method::GET, &format!("{anas}download/"), None).await.0, StatusCode::NOT_FOUND);
    }
    assert_eq!(boss.reads(&anas).await["title"], "anas.txt");
    let texts = async |platform| -> Vec<String> {
        app.app.chat.retrieve(platform, "otters").await.unwrap().into_iter().map(|source| source.text).collect()
    };
    assert_eq!(texts(Some(acme.id)).await, ["otters of Ana"], "what the tenant's assistant is given");
    assert_eq!(texts(None).await, ["otters of Nina"]);
    let other = app.app.chat.add_platform("Other").await.unwrap();
    assert!(texts(Some(other.id)).await.is_empty());
}

#[tokio::test]
async fn an_upload_goes_live_by_itself_where_the_operator_says_so() {
    let app = TestApp::with(|config| config.knowledge.auto = true).await;
    let lan = Librarian::new(&app, None, "lan", false).await;
    let path = lan.uploads("kites.txt", b"Kites fly.").await;
    let broken = lan.uploads("broken.pdf", b"%PDF-1.4\nnothing").await;
    crate::support::app::until_async(async || lan.reads(&path).await["state"] == "live").await;
    crate::support::app::until_async(async || lan.reads(&broken).await["vector_status"] == "failed").await;
    assert_eq!(lan.finds("kites").await, ["kites.txt"]);
}

#[tokio::test]
async fn what_did_not_fail_for_its_own_reason_is_tried_again_and_what_did_is_not() {
    let model = super::Model::start().await;
    let app = TestApp::with(|config| {
        model.configure(config);
        config.knowledge.auto = true;
        config.knowledge.claim_s = 1;
    })
    .await;
    let lan = Librarian::new(&app, None, "lan", false).await;
    *model.fails.lock().unwrap() = Some(StatusCode::BAD_REQUEST);
    let broken = lan.uploads("broken.pdf", b"%PDF-1.4\nnothing").await;
    let path = lan.uploads("kites.txt", b"Kites fly.").await;
    for one in [&broken, &path] {
        crate::support::app::until_async(async || lan.reads(one).await["vector_status"] == "failed").await;
    }
    let changed = lan.reads(&broken).await["updated_at"].clone();
    *model.fails.lock().unwrap() = None;
    crate::support::app::until_async(async || lan.reads(&path).await["state"] == "live").await;
    assert_eq!(lan.reads(&broken).await["updated_at"], changed, "nobody has touched it since");
}
