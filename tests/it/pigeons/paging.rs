//! Lists in pages: both ways by cursors, and by numbers.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::texts;
use crate::support::app::{TestApp, answer};
use crate::support::pigeon::Pigeon;

impl Pigeon<'_> {
    /// A page by its path, or by an address that another page told.
    async fn page(&self, address: &str) -> Value {
        let path = address.strip_prefix(&self.app.url).unwrap_or(address);
        let (status, page) = answer(self.request(Method::GET, path)).await;
        assert_eq!(status, StatusCode::OK, "{address} {page}");
        page
    }

    /// Follows a link from page to page; what `name` takes of each.
    async fn walk(&self, path: &str, link: &str, name: fn(&[Value]) -> Vec<&str>) -> Vec<Vec<String>> {
        let (mut next, mut pages) = (Some(path.to_owned()), Vec::new());
        while let Some(address) = next {
            let page = self.page(&address).await;
            let items = name(page["data"].as_array().unwrap()).into_iter().map(str::to_owned).collect();
            pages.push(items);
            next = page["links"][link].as_str().map(str::to_owned);
            assert!(pages.len() < 20, "{path} never ends");
        }
        pages
    }
}

fn uuids(conversations: &[Value]) -> Vec<&str> {
    conversations.iter().map(|conversation| conversation["uuid"].as_str().unwrap()).collect()
}

/// A conversation of seven messages, and one that was deleted among them.
async fn seven<'a>(app: &'a TestApp) -> (Pigeon<'a>, String, Vec<String>) {
    let (ana, rui, conversation) = app.pair().await;
    let mut ids = Vec::new();
    for number in 1..=7 {
        ids.push(ana.says(&conversation, &rui, &format!("m{number}")).await);
        if number == 3 {
            let gone = ana.says(&conversation, &rui, "gone").await;
            ana.delete(&format!("messages/{gone}")).await;
        }
    }
    (rui, format!("conversations/{conversation}/messages"), ids)
}

#[tokio::test]
async fn messages_are_paged_both_ways_by_cursors() {
    let app = TestApp::start().await;
    let (rui, path, ids) = seven(&app).await;
    let back = rui.walk(&format!("{path}?limit=3"), "prev", texts).await;
    assert_eq!(back, [&["m5", "m6", "m7"][..], &["m2", "m3", "m4"], &["m1"]]);
    let forth = rui.walk(&format!("{path}?limit=3&after={}", ids[0]), "next", texts).await;
    assert_eq!(forth, [&["m2", "m3", "m4"][..], &["m5", "m6", "m7"]]);
    let between = rui.page(&format!("{path}?after={}&before={}", ids[1], ids[5])).await;
    assert_eq!(texts(between["data"].as_array().unwrap()), ["m3", "m4", "m5"]);

    let page = rui.page(&format!("{path}?limit=2&before={}", ids[4])).await;
    let url = format!("{}/api/v1/pigeons/chat/{path}", app.url);
    let want = json!({
        "links": {
            "first": null, "last": null, "prev": format!("{url}?before={}&limit=2", ids[2]),
            "next": format!("{url}?after={}&limit=2", ids[3]),
        },
        "meta": {"path": url, "per_page": 2, "next_cursor": ids[3], "prev_cursor": ids[2]},
    });
    assert_eq!((&page["links"], &page["meta"]), (&want["links"], &want["meta"]));
    assert!(page["conversation"]["uuid"].is_string());
    let whole = rui.page(&format!("{path}?limit=100")).await;
    assert_eq!(
        (whole["data"].as_array().unwrap().len(), &whole["links"]["prev"], &whole["links"]["next"]),
        (7, &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn messages_are_paged_by_numbers_from_the_oldest_on() {
    let app = TestApp::start().await;
    let (rui, path, _) = seven(&app).await;
    let forth = rui.walk(&format!("{path}?per_page=3"), "next", texts).await;
    assert_eq!(forth, [&["m1", "m2", "m3"][..], &["m4", "m5", "m6"], &["m7"]]);
    let back = rui.walk(&format!("{path}?per_page=3&page=3"), "prev", texts).await;
    assert_eq!(back, [&["m7"][..], &["m4", "m5", "m6"], &["m1", "m2", "m3"]]);
    let url = format!("{}/api/v1/pigeons/chat/{path}", app.url);
    let link = |page: u64| format!("{url}?page={page}&per_page=3");
    let page = rui.page(&format!("{path}?page=2&per_page=3")).await;
    assert_eq!(page["links"], json!({"first": link(1), "last": link(3), "prev": link(1), "next": link(3)}));
    let meta = json!({"current_page": 2, "from": 4, "last_page": 3, "path": url, "per_page": 3, "to": 6, "total": 7});
    assert_eq!(page["meta"], meta);
    let beyond = rui.page(&format!("{path}?page=99&per_page=3")).await;
    assert_eq!(
        (&beyond["data"], &beyond["meta"]["from"], &beyond["meta"]["to"]),
        (&json!([]), &Value::Null, &Value::Null)
    );
    let usual = rui.page(&format!("{path}?page=1")).await;
    assert_eq!((&usual["meta"]["per_page"], &usual["meta"]["total"]), (&json!(10), &json!(7)));
}

#[tokio::test]
async fn conversations_are_paged_both_ways_and_by_numbers() {
    let app = TestApp::start().await;
    let (ana, rui, _) = app.pair().await;
    for number in 1..=6 {
        ana.post("conversations", json!({"participant_uuid": rui.uuid(), "taggable_id": number})).await;
    }
    let all = ana.inbox().await;
    let all: Vec<_> = uuids(&all).into_iter().map(str::to_owned).collect();
    assert_eq!(ana.walk("conversations?limit=3", "next", uuids).await, [&all[..3], &all[3..6], &all[6..]]);
    let up = ana.walk(&format!("conversations?limit=3&after={}", all[6]), "prev", uuids).await;
    assert_eq!(up, [&all[3..6], &all[..3]]);
    assert_eq!(ana.walk("conversations?per_page=3", "next", uuids).await, [&all[..3], &all[3..6], &all[6..]]);
    let page = ana.page("conversations?page=2&per_page=3").await;
    let url = format!("{}/api/v1/pigeons/chat/conversations", app.url);
    let meta = json!({"current_page": 2, "from": 4, "last_page": 3, "path": url, "per_page": 3, "to": 6, "total": 7});
    assert_eq!(page["meta"], meta);
    let page = ana.page(&format!("conversations?limit=2&before={}", all[1])).await;
    assert_eq!((&page["meta"]["prev_cursor"], &page["meta"]["next_cursor"]), (&json!(all[2]), &json!(all[3])));
}

#[tokio::test]
async fn sizes_are_clamped_and_nonsense_is_told() {
    let app = TestApp::start().await;
    let (rui, path, _) = seven(&app).await;
    for (query, items, size) in [
        ("limit=1000", 7, 100),
        ("limit=0", 1, 1),
        ("limit=-5", 1, 1),
        ("per_page=0", 1, 1),
        ("per_page=1000&page=-1", 7, 100),
    ] {
        let page = rui.page(&format!("{path}?{query}")).await;
        assert_eq!(
            (page["data"].as_array().unwrap().len(), &page["meta"]["per_page"]),
            (items, &json!(size)),
            "{query}"
        );
    }
    let (status, told) = rui.get(&format!("{path}?limit=x&before=9&after=msg_x")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        told["errors"],
        json!({
            "limit": ["The limit field must be an integer."], "before": ["The selected before is invalid."],
            "after": ["The selected after is invalid."],
        })
    );
    let (_, told) = rui.get(&format!("{path}?page=x&per_page=1.5")).await;
    assert_eq!(told["errors"].as_object().unwrap().len(), 2, "{told}");
    for cursor in ["00000000-0000-4000-8000-000000000000", "x"] {
        let (status, told) = rui.get(&format!("conversations?before={cursor}")).await;
        assert_eq!((status.as_u16(), &told["errors"]["before"][0]), (422, &json!("The selected before is invalid.")));
    }
}

#[tokio::test]
async fn a_search_goes_on_behind_its_last_message() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    for number in 1..=5 {
        ana.says(&conversation, &rui, &format!("Ação número{number}")).await;
    }
    let pages = rui.walk("search?q=acao%20numero&limit=2", "next", texts).await;
    assert_eq!(pages, [&["Ação número5", "Ação número4"][..], &["Ação número3", "Ação número2"], &["Ação número1"]]);
    for query in ["q=", "", "q=%20"] {
        let (status, told) = rui.get(&format!("search?{query}")).await;
        assert_eq!((status.as_u16(), &told["errors"]["q"][0]), (422, &json!("The q field is required.")));
    }
    let long = "x".repeat(201);
    let (_, told) = rui.get(&format!("search?q={long}")).await;
    assert_eq!(told["errors"]["q"][0], "The q field must not be greater than 200 characters.");
    for hostile in ["%22", "*", "a%20OR%20b", "NEAR(", "readers:u1", "%27%3B--", "%F0%9F%A6%89"] {
        let (status, told) = rui.get(&format!("search?q={hostile}")).await;
        assert_eq!((status, &told["data"]), (StatusCode::OK, &json!([])), "{hostile}");
    }
}
