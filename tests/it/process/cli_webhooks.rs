//! The command line for webhooks, and what a killed server still tells.

use std::path::Path;

use serde_json::{Value, json};

use super::{client, complaint, run, said};
use crate::support::process::{Process, roost};
use crate::support::receiver::{Answer, Receiver};
use crate::support::temp::TempDir;

const ALLOW: (&str, &str) = ("ROOST_WEBHOOKS_ALLOW_PRIVATE", "true");

/// Runs `roost webhook` over a data folder and returns what it said.
fn on(data: &Path, arguments: &[&str]) -> String {
    said(&run(roost().env(ALLOW.0, ALLOW.1).arg("webhook").args(arguments).arg("--data").arg(data)))
}

fn refused(data: &Path, arguments: &[&str]) -> String {
    complaint(&run(roost().arg("webhook").args(arguments).arg("--data").arg(data)))
}

fn json_on(data: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&on(data, &[arguments, &["--json"]].concat())).expect("JSON")
}

/// A guest says something at a server.
async fn says(url: &str, key: &str, text: &str) {
    let message = client().post(format!("{url}/api/v1/chat/guest/{key}/message")).json(&json!({"message": text}));
    assert_eq!(message.send().await.unwrap().status().as_u16(), 200);
}

async fn opens(url: &str, key: &str) {
    let body = json!({"session_key": key});
    let opened = client().post(format!("{url}/api/v1/chat/guest/session")).json(&body).send().await.unwrap();
    assert_eq!(opened.status().as_u16(), 201);
}

#[test]
fn endpoints_are_made_listed_rotated_and_removed() {
    let dir = TempDir::new();
    assert_eq!(json_on(dir.path(), &["list"]), json!([]));
    let added = on(dir.path(), &["add", "--url", "https://hooks.example.test/a", "--type", "message.created"]);
    assert!(added.starts_with("added webhook 1 https://hooks.example.test/a\nsecret: whsec_"), "{added}");
    let secret = added.lines().nth(1).unwrap().split(' ').nth(1).unwrap().to_owned();
    let listed = json_on(dir.path(), &["list"]);
    assert_eq!((&listed[0]["types"], &listed[0]["platform_id"]), (&json!(["message.created"]), &Value::Null));
    assert!(!listed.to_string().contains(&secret), "the secret is shown once");
    assert_eq!(on(dir.path(), &["list"]), "1  https://hooks.example.test/a (standard), 0 on the way\n");
    let rotated = on(dir.path(), &["rotate", "1"]);
    assert!(rotated.starts_with("secret: whsec_") && !rotated.contains(&secret), "{rotated}");
    assert_eq!(on(dir.path(), &["disable", "1"]), "webhook 1 is off\n");
    assert!(on(dir.path(), &["list"]).contains(": switched off"));
    assert_eq!(on(dir.path(), &["enable", "1"]), "webhook 1 is on\n");
    assert_eq!(json_on(dir.path(), &["deliveries", "1"]), json!([]));
    assert_eq!(on(dir.path(), &["replay", "1"]), "0 queued again\n");
    assert_eq!(on(dir.path(), &["remove", "1"]), "webhook 1 is removed\n");
    for command in [&["remove", "1"][..], &["rotate", "1"], &["enable", "1"], &["deliveries", "1"], &["replay", "1"]] {
        assert!(refused(dir.path(), command).contains("there is no such webhook"), "{command:?}");
    }
}

#[test]
fn what_is_wrong_with_an_endpoint_is_said() {
    let dir = TempDir::new();
    for (arguments, want) in [
        (&["--url", "http://127.0.0.1:1/"][..], "webhooks.allow_private"),
        (&["--url", "ftp://a.test/"], "http or https"),
        (&["--url", "https://a.test/", "--type", "nothing"], "is no type"),
        (&["--url", "https://a.test/", "--form", "smoke"], "none of standard, pusher"),
        (&["--url", "https://a.test/", "--form", "pusher"], "is a platform's"),
        (&["--url", "https://a.test/", "--after", "7"], "beyond the end of the log"),
        (&["--url", "https://a.test/", "--platform", "nobody"], "there is no platform"),
    ] {
        let said = refused(dir.path(), &[&["add"], arguments].concat());
        assert!(said.contains(want), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_made_beside_a_server_is_told_within_seconds() {
    let dir = TempDir::new();
    let server = Process::start(dir.path(), &[ALLOW]);
    let receiver = Receiver::start().await;
    opens(&server.url, "the-key-of-a-guest").await;
    says(&server.url, "the-key-of-a-guest", "before").await;
    let added = json_on(dir.path(), &["add", "--url", &receiver.url, "--after", "0"]);
    receiver.hears(1).await;
    says(&server.url, "the-key-of-a-guest", "after").await;
    let heard = receiver.hears(2).await;
    assert_eq!(receiver.texts(), ["before", "after"]);
    assert!(heard.iter().all(|heard| heard.is_signed_by(added["secret"].as_str().unwrap())));
    // Told again by hand.
    let listed = json_on(dir.path(), &["deliveries", "1", "--state", "delivered"]);
    let first = &listed.as_array().unwrap().last().unwrap()["id"];
    assert_eq!(on(dir.path(), &["replay", "1", "--delivery", &first.to_string()]), "1 queued again\n");
    let heard = receiver.hears(3).await;
    assert_eq!(heard[2].id(), heard[0].id());
}

#[tokio::test]
async fn what_was_committed_is_told_after_a_kill_each_once_and_in_order() {
    if crate::support::engine::is_other("claims that end with the only server; where nodes share the store they lapse")
    {
        return;
    }
    let dir = TempDir::new();
    let receiver = Receiver::start().await;
    json_on(dir.path(), &["add", "--url", &receiver.url]);
    // It takes the first and never answers: what comes after waits.
    receiver.answers(|_| Answer::Silence);
    let server = Process::start(dir.path(), &[ALLOW]);
    opens(&server.url, "the-key-of-a-guest").await;
    says(&server.url, "the-key-of-a-guest", "1").await;
    receiver.hears(1).await;
    for number in 2..=5 {
        says(&server.url, "the-key-of-a-guest", &number.to_string()).await;
    }
    server.kill();
    assert_eq!(receiver.texts(), ["1"]);
    receiver.answers(|_| Answer::Status(200));
    let server = Process::start(dir.path(), &[ALLOW]);
    let heard = receiver.hears(6).await;
    assert_eq!(receiver.texts(), ["1", "1", "2", "3", "4", "5"], "the first once more, because nobody knew");
    assert_eq!(heard[0].id(), heard[1].id(), "and it is known by its id");
    drop(server);
}

/// Killed again and again while it tells: at every instant something is between taken, sent and noted.
#[tokio::test]
async fn nothing_is_lost_however_often_it_is_killed() {
    if crate::support::engine::is_other("claims that end with the only server; where nodes share the store they lapse")
    {
        return;
    }
    const ROUNDS: usize = 6;
    const EACH: usize = 12;
    let dir = TempDir::new();
    let receiver = Receiver::start().await;
    json_on(dir.path(), &["add", "--url", &receiver.url]);
    for round in 0..ROUNDS {
        let server = Process::start(dir.path(), &[ALLOW]);
        let key = format!("the-key-of-guest-{round}");
        opens(&server.url, &key).await;
        for number in 0..EACH {
            says(&server.url, &key, &format!("{round}.{number}")).await;
        }
        // Dies with about so many told.
        receiver.hears(round * EACH / 2).await;
        server.kill();
    }
    let server = Process::start(dir.path(), &[ALLOW]);
    let mut want: Vec<String> = Vec::new();
    for round in 0..ROUNDS {
        want.extend((0..EACH).map(|number| format!("{round}.{number}")));
    }
    let told = |receiver: &Receiver| {
        let (mut seen, mut texts) = (std::collections::HashSet::new(), Vec::new());
        let new = receiver.heard().into_iter().filter(|heard| seen.insert(heard.id().to_owned()));
        texts.extend(new.map(|heard| heard.text()));
        texts
    };
    let began = std::time::Instant::now();
    while told(&receiver).len() < want.len() {
        assert!(began.elapsed() < crate::support::app::PATIENCE, "{:?}", told(&receiver));
        tokio::task::yield_now().await;
    }
    let told = told(&receiver);
    for round in 0..ROUNDS {
        let of_round = |texts: &[String]| {
            let prefix = format!("{round}.");
            texts.iter().filter(|text| text.starts_with(&prefix)).cloned().collect::<Vec<_>>()
        };
        assert_eq!(of_round(&told), of_round(&want), "in order a conversation");
    }
    assert_eq!(told.len(), want.len());
    drop(server);
}
