//! pusher-js and laravel-echo on channels of every kind.

use serde_json::{Value, json};

use super::comes_to;

/// The texts of what was heard.
fn texts(heard: &Value) -> Vec<&str> {
    heard.as_array().expect("a list").iter().map(|message| message["context"]["text"].as_str().expect("text")).collect()
}

async fn a_conversation_with(client: &str) {
    let Some((result, world)) = comes_to("conversation.mjs", &json!({"client": client})).await else { return };
    let (anas, ruis) = (&result["heard"]["ana"], &result["heard"]["rui"]);
    assert_eq!(texts(anas), ["hello Ana", "are you there?", "yes"], "not what she sent from that very socket");
    assert_eq!(texts(ruis), ["hello Ana", "hello Rui", "yes"], "and nor does he");
    let first = &ruis[0];
    assert_eq!(first["message_id"], result["said"][0], "{first}");
    assert_eq!(first["conversation_uuid"], world["conversation"]);
    assert_eq!(first["sender"]["uuid"], world["rui"]["uuid"]);
    for heard in [anas, ruis] {
        let cursors = heard.as_array().expect("a list").iter().map(|message| message["cursor"].as_i64());
        let cursors: Vec<_> = cursors.map(|cursor| cursor.expect("a number")).collect();
        assert!(cursors.is_sorted_by(|a, b| a < b) && cursors.iter().all(|&c| 0 < c && c < 1 << 53), "{cursors:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pusher_js_hears_what_is_sent_over_http() {
    a_conversation_with("pusher-js").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn laravel_echo_hears_what_is_sent_over_http() {
    a_conversation_with("echo").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_denied_hears_so_and_stays_connected() {
    let Some((result, _)) = comes_to("denied.mjs", &json!({})).await else { return };
    for error in ["echoed", "joined", "plain"] {
        let error = &result[error];
        assert_eq!((&error["type"], &error["status"]), (&json!("AuthError"), &json!(403)), "{result}");
    }
    assert_eq!(result["found"]["status"], 401, "{result}");
    assert!(result["found"]["type"].is_string() && result["found"]["error"].is_string(), "{result}");
    assert_eq!((&result["own"], &result["states"]), (&json!(true), &json!(["connected", "connected"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_shows_who_is_in_it_and_a_second_window_is_nobody_new() {
    let Some((result, world)) = comes_to("presence.mjs", &json!({})).await else { return };
    let names = |list: &Value| {
        let list = list.as_array().expect("a list").iter();
        let mut names: Vec<_> = list.map(|member| member["name"].as_str().expect("a name").to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&result["here"]["ana"]), ["Ana"]);
    assert_eq!(names(&result["here"]["rui"]), ["Ana", "Rui"]);
    assert_eq!(names(&result["here"]["again"]), ["Ana", "Rui"]);
    let told = &result["told"];
    assert_eq!(told[0]["joining"]["name"], "Rui", "{told}");
    assert_eq!(told[1], json!({"from": "second window"}), "nobody left while a window was open: {told}");
    assert_eq!(told[2]["leaving"]["name"], "Rui", "{told}");
    let mut ids = [&world["ana"]["uuid"], &world["rui"]["uuid"]].map(|uuid| uuid.as_str().expect("a uuid"));
    ids.sort_unstable();
    assert_eq!(result["seen"], json!({"count": 2, "me": world["rui"]["uuid"], "ids": ids}));
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_is_heard_by_the_other_and_bears_a_name_in_a_room() {
    let Some((result, world)) = comes_to("whisper.mjs", &json!({})).await else { return };
    assert_eq!(result["heard"], json!({"rui": {"is": "Ana"}, "ana": {"is": "Rui"}}));
    let want = json!({"data": {"is": "Ana"}, "metadata": {"user_id": world["ana"]["uuid"]}});
    assert_eq!(result["room"], want);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_gets_letters_and_is_watched() {
    let Some((result, world)) = comes_to("signin.mjs", &json!({})).await else { return };
    let ana = &world["ana"]["uuid"];
    assert_eq!(&result["user"]["id"], ana, "{result}");
    assert_eq!((&result["error"]["type"], &result["error"]["status"]), (&json!("AuthError"), &json!(401)), "{result}");
    assert_eq!(result["letter"], json!({"text": "for you"}));
    assert_eq!(result["watcher"], "watcher");
    let seen = json!([{"name": "online", "user_ids": [ana]}, {"name": "offline", "user_ids": [ana]}]);
    assert_eq!(result["seen"], seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_channel_carries_what_the_server_cannot_read() {
    let Some((result, _)) = comes_to("encrypted.mjs", &json!({})).await else { return };
    assert_eq!(result["heard"], json!({"event": "order", "data": {"number": 7, "note": "olá"}}));
    assert_eq!(result["wire"], json!(["ciphertext", "nonce"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_channel_tells_who_comes_later_the_last_event() {
    let Some((result, _)) = comes_to("cache.mjs", &json!({})).await else { return };
    for channel in ["cache-prices", "private-cache-prices", "presence-cache-prices"] {
        let last = &result["seen"][channel]["last"];
        assert_eq!(*last, json!({"event": "price", "data": {"price": 2}}), "{channel}: {result}");
    }
    assert_eq!(result["subscribed"], true);
}
