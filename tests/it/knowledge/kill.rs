//! The server is killed in the middle of making a document live: it goes live after a restart, and nobody asked for it.

use std::path::Path;
use std::sync::atomic::Ordering;

use reqwest::Client;
use serde_json::Value;

use super::{DOCUMENTS, Model};
use crate::support::app::{until, until_async};
use crate::support::engine;
use crate::support::process::{Process, roost};
use crate::support::temp::TempDir;

/// Runs `roost` over a data folder and returns what it said.
fn on(data: &Path, arguments: &[&str]) -> String {
    let mut command = roost();
    command.args(arguments).arg("--data").arg(data).envs(engine::environment_of(data));
    let output = command.output().expect("the binary starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A bearer token of somebody who may upload.
fn token(data: &Path) -> String {
    let (email, able) = ("lan@example.test", ["--ability", "knowledge"]);
    on(data, &[&["user", "add", "--email", email, "--name", "Lan"][..], &able].concat());
    let made = on(data, &[&["token", "add", "--user", email, "--json"][..], &able].concat());
    let made: Value = serde_json::from_str(&made).expect("JSON");
    made["token"].as_str().unwrap_or_else(|| panic!("no token in {made}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_goes_live_by_itself_after_its_node_was_killed() {
    let (folder, model) = (TempDir::new(), Model::start().await);
    let client = Client::builder().no_proxy().build().unwrap();
    let environment = [
        ("ROOST_KNOWLEDGE_AUTO", "true"),
        ("ROOST_KNOWLEDGE_CLAIM_S", "1"),
        ("ROOST_KNOWLEDGE_EMBEDDINGS_URL", model.url.as_str()),
        ("ROOST_KNOWLEDGE_EMBEDDINGS_MODEL", "of-things"),
    ];
    let token = token(folder.path());
    let server = Process::start(folder.path(), &environment);
    model.hangs.store(true, Ordering::Relaxed);
    let body =
        "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"kites.txt\"\r\n\r\nKites fly.\r\n--b--\r\n";
    let upload = client.post(format!("{}{DOCUMENTS}", server.url)).bearer_auth(&token);
    let uploaded = upload.header("content-type", "multipart/form-data; boundary=b").body(body).send().await.unwrap();
    let document: Value = uploaded.json().await.unwrap();
    let path = format!("{DOCUMENTS}{}/", document["id"].as_str().unwrap_or_else(|| panic!("{document}")));
    let state = async |url: &str| -> Value {
        let read = client.get(format!("{url}{path}")).bearer_auth(&token).send().await.unwrap();
        read.json::<Value>().await.unwrap()["state"].take()
    };
    until(|| !model.asked.lock().unwrap().is_empty()).await;
    assert_eq!(state(&server.url).await, "processing");
    server.kill();
    model.hangs.store(false, Ordering::Relaxed);
    let server = Process::start(folder.path(), &environment);
    until_async(async || state(&server.url).await == "live").await;
    assert_eq!(model.asked.lock().unwrap().len(), 2, "its chunks were embedded once before, and once after");
    server.kill();
}
