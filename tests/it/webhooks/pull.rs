//! The pull form: everything after a cursor, once, in order, page by page.

use serde_json::{Value, json};

use super::{Backend, server};
use crate::support::receiver::Receiver;

impl Backend<'_> {
    /// Walks all events after a cursor in pages of that many.
    async fn walks(&self, after: i64, limit: usize) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), after);
        loop {
            let (status, page) = self.get(&format!("/api/v1/events?after={cursor}&limit={limit}")).await;
            assert_eq!(status.as_u16(), 200, "{page}");
            let events = page["data"].as_array().expect("a list");
            assert!(events.len() <= limit);
            all.extend(events.iter().cloned());
            let next = page["cursor"].as_i64().expect("a cursor");
            if page["has_more"] == false {
                return all;
            }
            assert!(next > cursor, "it goes on");
            cursor = next;
        }
    }
}

fn cursors(events: &[Value]) -> Vec<i64> {
    events.iter().map(|event| event["cursor"].as_i64().expect("a cursor")).collect()
}

#[tokio::test]
async fn everything_after_a_cursor_comes_once_in_order_whatever_the_page() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let (eva, tom, other) = app.pair_named("Other").await;
    let backend = Backend::of(&ana).await;
    backend.adds(&receiver).await;
    for number in 0..12 {
        ana.says(&conversation, &rui, &format!("ours {number}")).await;
        eva.says(&other, &tom, "theirs").await;
    }
    let all = backend.walks(0, 500).await;
    let texts: Vec<_> = all.iter().map(|event| event["data"]["message"]["text"].clone()).collect();
    assert_eq!(texts, (0..12).map(|number| json!(format!("ours {number}"))).collect::<Vec<_>>());
    assert!(cursors(&all).windows(2).all(|pair| pair[0] < pair[1]));
    for limit in [1, 2, 5, 12, 13] {
        assert_eq!(backend.walks(0, limit).await, all, "in pages of {limit}");
    }
    let middle = all[4]["cursor"].as_i64().unwrap();
    assert_eq!(backend.walks(middle, 3).await, all[5..]);
    // What an endpoint is told is the same.
    app.crank().await;
    let mut told: Vec<_> = receiver.heard().iter().map(crate::support::receiver::Heard::json).collect();
    told.sort_by_key(|event| event["cursor"].as_i64());
    assert_eq!(told, all);
    // From the end on there is what comes.
    let (_, page) = backend.get("/api/v1/events").await;
    let end = page["cursor"].as_i64().unwrap();
    assert_eq!(backend.walks(end, 5).await, Vec::<Value>::new());
    ana.says(&conversation, &rui, "and one more").await;
    assert_eq!(backend.walks(end, 5).await.len(), 1);
}

#[tokio::test]
async fn a_cursor_that_is_none_is_refused() {
    let app = server(|_| {}).await;
    let (ana, rui, conversation) = app.pair().await;
    let backend = Backend::of(&ana).await;
    ana.says(&conversation, &rui, "hello").await;
    for (after, want) in [
        ("-1", "negative"),
        ("abc", "whole number"),
        ("1.5", "whole number"),
        ("99999999999999999999999", "whole number"),
        ("9007199254740991", "beyond the end"),
        ("2", "beyond the end"),
    ] {
        let (status, body) = backend.get(&format!("/api/v1/events?after={after}")).await;
        assert_eq!(status.as_u16(), 422, "{after}: {body}");
        let said = body["errors"]["after"][0].as_str().unwrap_or_default();
        assert!(said.contains(want), "{after}: {body}");
    }
    for query in ["", "?after=", "?after=0", "?after=0&limit=0", "?limit=999999", "?limit=-4"] {
        let (status, body) = backend.get(&format!("/api/v1/events{query}")).await;
        assert_eq!((status.as_u16(), body["data"].as_array().map(Vec::len)), (200, Some(1)), "{query}: {body}");
    }
}
