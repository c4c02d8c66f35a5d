//! The knowledge door, from the outside: uploads go live and are found, hostile ones cost a bounded time, and nobody
//! finds what is another tenant's.

mod documents;
mod files;
mod hostile;
mod kill;
mod near;
mod recall;
mod search;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::routing::post;
use axum::{Json, Router};
use reqwest::{Method, StatusCode};
use roost::config::Config;
use roost::domain::{Ability, Email, Platform};
use serde_json::{Value, json};

use crate::support::app::{TestApp, answer};

pub const DOCUMENTS: &str = "/api/knowledgebase/documents/";

/// Somebody with documents.
pub struct Librarian<'a> {
    pub app: &'a TestApp,
    pub token: String,
}

impl<'a> Librarian<'a> {
    pub async fn new(app: &'a TestApp, platform: Option<&Platform>, name: &str, is_staff: bool) -> Librarian<'a> {
        Self::able(app, platform, name, is_staff, "knowledge").await
    }

    pub async fn able(
        app: &'a TestApp,
        platform: Option<&Platform>,
        name: &str,
        is_staff: bool,
        ability: &str,
    ) -> Librarian<'a> {
        let chat = &app.app.chat;
        let email = Email::parse(&format!("{name}@example.test")).unwrap();
        let abilities = vec![Ability::parse(ability).unwrap()];
        let user = chat.add_user(platform, email, name.to_owned(), None, is_staff, abilities.clone()).await.unwrap();
        let token = chat.make_token(user, "test".to_owned(), abilities, None).await.unwrap().token;
        Self { app, token }
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let request = self.app.request(method, path).bearer_auth(&self.token);
        answer(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    /// Sends a file under a name, perhaps with a title behind it.
    pub async fn sends(&self, name: &str, file: &[u8], title: Option<&str>) -> (StatusCode, Value) {
        let mut body =
            format!("--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n").into_bytes();
        body.extend_from_slice(file);
        if let Some(title) = title {
            let part = format!("\r\n--b\r\ncontent-disposition: form-data; name=\"title\"\r\n\r\n{title}");
            body.extend_from_slice(part.as_bytes());
        }
        body.extend_from_slice(b"\r\n--b--\r\n");
        let request = self.app.request(Method::POST, DOCUMENTS).bearer_auth(&self.token);
        answer(request.header("content-type", "multipart/form-data; boundary=b").body(body)).await
    }

    /// Uploads a file; the path of its document.
    pub async fn uploads(&self, name: &str, file: &[u8]) -> String {
        let (status, body) = self.sends(name, file, None).await;
        assert_eq!(status, StatusCode::CREATED, "{name}: {body}");
        format!("{DOCUMENTS}{}/", body["id"].as_str().unwrap())
    }

    pub async fn steps(&self, document: &str, step: &str) -> (StatusCode, Value) {
        self.ask(Method::POST, &format!("{document}{step}/"), None).await
    }

    /// Uploads a file and makes it live; the path of its document.
    pub async fn publishes(&self, name: &str, file: &[u8]) -> String {
        let document = self.uploads(name, file).await;
        for step in ["chunk", "vectorize"] {
            let (status, body) = self.steps(&document, step).await;
            assert_eq!((status, &body["success"]), (StatusCode::OK, &json!(true)), "{name} {step}: {body}");
        }
        document
    }

    pub async fn reads(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    pub async fn searches(&self, query: Value) -> Value {
        let (status, body) = self.ask(Method::POST, &format!("{DOCUMENTS}search/"), Some(query)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["results"].clone()
    }

    /// The titles of the documents that a query finds, in order.
    pub async fn finds(&self, query: &str) -> Vec<String> {
        let found = self.searches(json!({"query": query, "top_k": 10})).await;
        let titles = found.as_array().unwrap().iter().map(|one| one["document_title"].as_str().unwrap().to_owned());
        titles.collect()
    }
}

/// A stand-in for a model of embeddings, over HTTP: a direction for each of a few things that texts can be about, however
/// they say it.
pub struct Model {
    pub url: String,
    /// What it answers with instead of vectors.
    pub fails: Arc<Mutex<Option<StatusCode>>>,
    /// Whether it does not answer.
    pub hangs: Arc<AtomicBool>,
    /// How many requests it had, with how many texts.
    pub asked: Arc<Mutex<Vec<usize>>>,
}

const THINGS: [&[&str]; 4] =
    [&["kite", "string in the sky"], &["refund", "money back"], &["boat", "vessel"], &["tea", "hot drink"]];

fn direction(text: &str) -> Vec<f32> {
    let text = text.to_lowercase();
    let about = |words: &&[&str]| words.iter().filter(|word| text.contains(*word)).count() as f32;
    THINGS.iter().map(about).chain([0.05]).collect()
}

impl Model {
    pub async fn start() -> Self {
        let fails: Arc<Mutex<Option<StatusCode>>> = Arc::default();
        let asked: Arc<Mutex<Vec<usize>>> = Arc::default();
        let hangs: Arc<AtomicBool> = Arc::default();
        let (failing, asking, hanging) = (Arc::clone(&fails), Arc::clone(&asked), Arc::clone(&hangs));
        let embed = move |Json(body): Json<Value>| {
            let texts: Vec<String> = serde_json::from_value(body["input"].clone()).unwrap();
            asking.lock().unwrap().push(texts.len());
            let (fails, hangs) = (*failing.lock().unwrap(), hanging.load(Ordering::Relaxed));
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                if let Some(status) = fails {
                    return (axum::http::StatusCode::from_u16(status.as_u16()).unwrap(), Json(json!({})));
                }
                let data = texts.iter().enumerate();
                let data: Vec<_> =
                    data.map(|(index, text)| json!({"index": index, "embedding": direction(text)})).collect();
                (axum::http::StatusCode::OK, Json(json!({"object": "list", "data": data})))
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/embeddings", post(embed));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, fails, hangs, asked }
    }

    pub fn configure(&self, config: &mut Config) {
        config.knowledge.embeddings_url.clone_from(&self.url);
        config.knowledge.embeddings_model = "of-things".to_owned();
    }
}
