//! The server libraries for Node and Python: a platform's own backend publishes to its channels, reads
//! their state, ends a user's connections, and checks the webhooks that it gets. (PHP's is only on a
//! registry of its own, which `scripts/prepare` does not use.)

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Room;
use crate::support::app::TestApp;
use crate::support::script::{Script, node, python};

#[tokio::test(flavor = "multi_thread")]
async fn nodes_library_publishes_and_reads() {
    let app = TestApp::start().await;
    let Some((result, heard)) = against_clients(&app, |world| node("server.mjs", world)).await else { return };
    let counts = json!({"channels": {"news": {"subscription_count": 2}, "presence-room": {"subscription_count": 3}}});
    assert_eq!(result["info"], counts);
    assert_eq!(
        result["refused"],
        json!({"usersOfNews": 400, "countOfAll": 400, "large": 413, "stranger": 401}),
        "{result}"
    );
    let webhook = &result["webhook"];
    assert_eq!(
        (&webhook["isValid"], &webhook["changed"], &webhook["forged"]),
        (&json!(true), &json!(false), &json!(false))
    );
    assert_eq!(webhook["events"], events());
    assert_state(&result);
    assert_eq!(heard, everything());
}

#[tokio::test(flavor = "multi_thread")]
async fn pythons_library_publishes_and_reads() {
    let app = TestApp::start().await;
    let Some((result, heard)) = against_clients(&app, |world| python("server.py", world)).await else { return };
    let refused = json!({"usersOfNews": "PusherBadRequest", "countOfAll": "PusherBadRequest",
        "stranger": "PusherBadAuth", "strangerEnds": "PusherBadAuth"});
    assert_eq!(result["refused"], refused, "{result}");
    assert_eq!(result["webhook"], json!({"events": events(), "changed": null, "forged": null}));
    assert_state(&result);
    assert_eq!(heard, everything());
}

/// What a library comes to beside clients that are connected, and what these heard, in order; `None` when
/// the suite is left out.
async fn against_clients(app: &TestApp, start: impl Fn(&Value) -> Option<Script>) -> Option<(Value, Vec<String>)> {
    let room = Room::open(app).await;
    let mut clients = room.script("present.mjs", &json!({}))?;
    let socket = clients.tells("socket").await;
    let webhook = webhook(&room.ana.platform.key.to_string(), &room.ana.platform.secret);
    let result = start(&room.world(&json!({"socket": socket, "webhook": webhook})))?.result().await;
    let (mut heard, mut is_gone) = (Vec::new(), false);
    while heard.len() < everything().len() || !is_gone {
        let line = clients.line().await;
        is_gone |= line["gone"] == "u1";
        if line["heard"].is_array() {
            heard.push(line["heard"].to_string());
        }
    }
    heard.sort();
    Some((result, heard))
}

/// What the libraries publish, as the clients hear it: everybody everything on their channels, but for the
/// third, which spares a socket.
fn everything() -> Vec<String> {
    let news = |who: &'static str, numbers: &'static [i32]| {
        numbers.iter().map(move |n| json!([who, "news", "headline", {"n": n}]))
    };
    let room = ["u1", "u1", "u2"].into_iter().map(|who| json!([who, "presence-room", "headline", {"n": 2}]));
    let order = [json!(["u1", "private-orders", "order", {"n": 5}])];
    let all = news("u1", &[1, 2, 4]).chain(news("u2", &[1, 2, 3, 4])).chain(room).chain(order);
    let mut all: Vec<_> = all.map(|heard| heard.to_string()).collect();
    all.sort();
    all
}

/// What both libraries read.
fn assert_state(result: &Value) {
    for empty in ["trigger", "spared", "terminated"] {
        assert_eq!(result[empty], json!({}), "{empty}: {result}");
    }
    assert!(result["batch"].is_object(), "{result}");
    let channels = result["channels"]["channels"].as_object().expect("channels by name");
    for name in ["news", "private-orders", "presence-room"] {
        assert!(channels.contains_key(name), "{channels:?}");
    }
    assert_eq!(result["rooms"], json!({"channels": {"presence-room": {"user_count": 2}}}));
    assert_eq!(result["room"], json!({"occupied": true, "user_count": 2, "subscription_count": 3}));
    assert_eq!(result["empty"]["occupied"], false, "{result}");
    let users = result["users"]["users"].as_array().expect("a list");
    let mut ids: Vec<_> = users.iter().map(|user| user["id"].as_str().expect("an id")).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["u1", "u2"]);
}

fn events() -> Value {
    json!([{"name": "channel_occupied", "channel": "news"}])
}

/// A webhook in Pusher's form.
fn webhook(key: &str, secret: &str) -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time after 1970");
    let body = json!({"time_ms": now.as_millis() as u64, "events": events()}).to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(body.as_bytes());
    let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let headers = json!({"content-type": "application/json", "x-pusher-key": key, "x-pusher-signature": signature});
    json!({"headers": headers, "body": body})
}
