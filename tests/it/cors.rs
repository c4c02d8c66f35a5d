//! The doors are called from pages on other origins: what a browser asks before, and what it lets a
//! page see.

use reqwest::header::{HeaderMap, VARY};
use reqwest::{Method, Response, StatusCode};

use crate::support::app::TestApp;

const SHOP: &str = "https://shop.example";
const SESSION: &str = "/api/v1/chat/guest/session";

const MESSAGES: &str = "/api/v1/pigeons/chat/messages";

/// What a browser asks before it sends a page's request.
async fn preflight(app: &TestApp, origin: &str, path: &str) -> Response {
    let request = app.request(Method::OPTIONS, path).header("origin", origin);
    let request = request.header("access-control-request-method", "POST");
    request.header("access-control-request-headers", "content-type,idempotency-key").send().await.expect("an answer")
}

async fn from_page(app: &TestApp, origin: &str, path: &str) -> Response {
    app.request(Method::GET, path).header("origin", origin).send().await.expect("an answer")
}

fn words(headers: &HeaderMap, name: &str) -> Vec<String> {
    let list = headers.get(name).map_or("", |value| value.to_str().expect("text"));
    list.split(',').map(|word| word.trim().to_ascii_lowercase()).filter(|word| !word.is_empty()).collect()
}

#[tokio::test]
async fn a_page_anywhere_may_call_the_doors() {
    let app = TestApp::start().await;
    for path in [SESSION, "/api/chats/sessions/", "/api/v1/chat/guest/some-key/events", MESSAGES, "/broadcasting/auth"]
    {
        let answer = preflight(&app, SHOP, path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(words(answer.headers(), "access-control-allow-origin"), ["*"]);
        let methods = words(answer.headers(), "access-control-allow-methods");
        assert!(
            ["get", "post", "put", "patch", "delete"].iter().all(|method| methods.iter().any(|m| m == method)),
            "{methods:?}"
        );
        let allowed = words(answer.headers(), "access-control-allow-headers");
        let sent = ["authorization", "content-type", "idempotency-key", "last-event-id", "x-chat-session"];
        let of_users = ["x-public-key", "x-socket-id", "accept-language"];
        let mut needed = sent.iter().chain(&of_users);
        assert!(needed.all(|header| allowed.iter().any(|a| a == header)), "{allowed:?}");
    }
}

#[tokio::test]
async fn a_page_may_read_what_it_works_with() {
    let app = TestApp::start().await;
    let guest = app.guest().await;
    let unknown = "/api/v1/chat/guest/nobody-has-this-key/messages";
    let expected = [(guest.path("messages"), 200), (unknown.to_owned(), 404), ("/api/v1/nowhere".to_owned(), 404)];
    for (path, status) in expected {
        let answer = from_page(&app, SHOP, &path).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(words(answer.headers(), "access-control-allow-origin"), ["*"], "{path}: a refusal is read too");
        let exposed = words(answer.headers(), "access-control-expose-headers");
        let needed = ["etag", "retry-after", "idempotent-replayed", "x-ratelimit-remaining", "x-request-id", "link"];
        assert!(needed.iter().all(|header| exposed.iter().any(|e| e == header)), "{exposed:?}");
    }
}

#[tokio::test]
async fn what_is_not_for_pages_stays_closed() {
    let app = TestApp::start().await;
    for path in ["/metrics", "/readyz"] {
        let answer = from_page(&app, SHOP, path).await;
        assert!(!answer.headers().contains_key("access-control-allow-origin"), "{path}");
    }
}

#[tokio::test]
async fn an_operator_can_list_the_origins() {
    let app = TestApp::with(|config| config.http.cors_origins = vec![SHOP.to_owned()]).await;
    let guest = app.guest().await;
    let mine = from_page(&app, SHOP, &guest.path("messages")).await;
    assert_eq!(words(mine.headers(), "access-control-allow-origin"), [SHOP]);
    let other = from_page(&app, "https://other.example", &guest.path("messages")).await;
    assert!(!other.headers().contains_key("access-control-allow-origin"));
    // A cache must not hand the answer for one origin to another, nor one without to any.
    let bare = app.request(Method::GET, &guest.path("messages")).send().await.expect("an answer");
    for answer in [mine, other, bare] {
        let varies = answer.headers().get_all(VARY).iter().any(|value| value.to_str().unwrap().contains("origin"));
        assert!(varies, "{:?}", answer.headers());
    }
}

#[tokio::test]
async fn an_operator_can_close_the_doors_to_pages() {
    let app = TestApp::with(|config| config.http.cors_origins = Vec::new()).await;
    let answer = preflight(&app, SHOP, SESSION).await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn options_that_is_no_preflight_is_the_doors_to_answer() {
    let app = TestApp::start().await;
    let answer = app.request(Method::OPTIONS, SESSION).header("origin", SHOP).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    let body: serde_json::Value = answer.json().await.expect("the door's envelope");
    assert_eq!(body["error"]["code"], "METHOD_NOT_ALLOWED");
}
