//! The rate limit of the door.

use reqwest::Method;

use super::{Backend, HOOKS, server};
use crate::support::app::whole_answer;

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let app = server(|config| {
        config.limits.enabled = true;
        config.limits.events_per_minute = 2;
    })
    .await;
    let (ana, _, _) = app.pair().await;
    let backend = Backend::of(&ana).await;
    let ask = async || whole_answer(app.request(Method::GET, HOOKS).bearer_auth(&backend.token)).await;
    for left in ["1", "0"] {
        let (status, headers, body) = ask().await;
        assert_eq!((status.as_u16(), headers["x-ratelimit-remaining"].to_str().unwrap()), (200, left), "{body}");
    }
    let (status, headers, body) = ask().await;
    assert_eq!(status.as_u16(), 429, "{body}");
    assert!(headers.contains_key("retry-after") && body["message"].is_string());
}
