//! What a client says with its authorisation about where it is.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::app::{TestApp, answer};
use crate::support::pusher::{Backend, Client};

#[tokio::test]
async fn a_cursor_may_come_with_the_authorisation() {
    let app = TestApp::start().await;
    let (ana, _, conversation) = app.pair().await;
    let channel = format!("private-conversation.{conversation}");
    let by_channel = format!("since[{channel}]");
    let as_text = json!({&channel: 0}).to_string();
    let cases: [&[(&str, &str)]; 6] = [
        &[],
        &[("since", "0")],
        &[("since", "9007199254740991")],
        &[("since", &as_text)],
        &[(&by_channel, "0")],
        &[("since", "undefined")],
    ];
    for more in cases {
        let mut client = Client::connect(&app, &ana.platform).await;
        assert_eq!(ana.enters(&mut client, &channel, more).await, StatusCode::OK, "{more:?}");
        assert_eq!(client.next().await["event"], "pusher_internal:subscription_succeeded");
        // However it began, it goes on with what comes.
        Backend::new(&app, &ana.platform).tells(&channel, "live", json!(1)).await;
        assert_eq!(client.next_of("live").await["data"], 1, "{more:?}");
        client.leaves(&channel).await;
        client.so_far().await;
    }
}

#[tokio::test]
async fn a_cursor_that_is_none_is_a_field_that_is_wrong() {
    let app = TestApp::start().await;
    let (ana, _, conversation) = app.pair().await;
    let channel = format!("private-conversation.{conversation}");
    for since in ["-1", "1.5", "x", "9007199254740992", "99999999999999999999999", "{", "[object Object]", "[1]"] {
        let form = [("socket_id", "1.1"), ("channel_name", &channel), ("since", since)];
        let request = app.request(Method::POST, "/broadcasting/auth").bearer_auth(&ana.token).form(&form);
        let (status, told) = answer(request).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{since}");
        assert!(told["errors"]["since"][0].is_string(), "{since}: {told}");
    }
    let body = json!({"socket_id": "1.1", "channel_name": channel, "since": {&channel: -1}});
    assert_eq!(ana.post("/broadcasting/auth", body).await.0, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_conversation_is_not_offered_encrypted() {
    let app = TestApp::start().await;
    let (ana, _, conversation) = app.pair().await;
    let channel = format!("private-encrypted-conversation.{conversation}");
    let (status, told) = ana.post("/broadcasting/auth", json!({"socket_id": "1.1", "channel_name": channel})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(told["message"].as_str().unwrap().contains("encrypted"), "{told}");
}
