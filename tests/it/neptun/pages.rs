//! What everybody may see, and from which pages.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::TestApp;

const SHOP: &str = "https://shop.example";

#[tokio::test]
async fn the_server_says_that_it_is_there() {
    let app = TestApp::start().await;
    for path in ["/health", "/api/health"] {
        let (status, body) = app.get(path).await;
        assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("healthy")), "{path}");
        assert!(body["timestamp"].as_str().unwrap().ends_with('Z') && body["uptime"].as_f64().unwrap() >= 0.0);
    }
}

#[tokio::test]
async fn the_models_are_those_of_the_configuration() {
    let app = TestApp::start().await;
    let (_, body) = app.get("/models").await;
    let keys: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["configurations", "endpoints", "models"]);
    assert_eq!(body["models"].as_array().unwrap().len(), 14);
    let counts = ["huggingface", "cloudflare", "openrouter", "ollama"]
        .map(|family| body["endpoints"][family].as_array().unwrap().len());
    assert_eq!(counts, [9, 1, 3, 1]);
    assert_eq!(body["endpoints"]["ollama"], json!(["/api/ai/ollama/rwkv-6-world/chat"]));
    assert_eq!(app.get("/api/models").await.1, body);
    let lan = app.member("Lan").await;
    for endpoint in body["endpoints"].as_object().unwrap().values().flat_map(|list| list.as_array().unwrap()) {
        let question = json!({"messages": [{"role": "user", "content": "hi"}]});
        let request = lan.request(Method::POST, endpoint.as_str().unwrap()).json(&question);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK, "{endpoint}");
    }
    let own = TestApp::with(|config| config.neptun.models = vec!["ollama/mine".to_owned()]).await;
    let (_, body): (_, Value) = own.get("/models").await;
    assert_eq!((&body["models"], &body["endpoints"]["huggingface"]), (&json!(["ollama/mine"]), &json!([])));
}

#[tokio::test]
async fn pages_anywhere_may_call_also_what_is_at_the_root() {
    let app = TestApp::start().await;
    for (method, path) in [
        ("GET", "/health"),
        ("GET", "/models"),
        ("POST", "/auth/otp"),
        ("POST", "/a@example.test/reset-password"),
        ("POST", "/api/auth/login"),
        ("PATCH", "/api/users/1/chats/1"),
        ("DELETE", "/api/users/1/chats/1/messages/last"),
    ] {
        let asked =
            app.request(Method::OPTIONS, path).header("origin", SHOP).header("access-control-request-method", method);
        let answer = asked.send().await.unwrap();
        assert_eq!(
            (answer.status(), &answer.headers()["access-control-allow-origin"]),
            (StatusCode::OK, &"*".parse().unwrap()),
            "{path}"
        );
        assert!(!answer.headers().contains_key("access-control-allow-credentials"), "{path}: no cookie with everybody");
        let answer = app.request(method.parse().unwrap(), path).header("origin", SHOP).send().await.unwrap();
        assert_eq!(answer.headers()["access-control-allow-origin"], "*", "{path}: also what is refused");
    }
}

#[tokio::test]
async fn pages_that_are_listed_may_bring_the_cookie() {
    let app = TestApp::with(|config| config.http.cors_origins = vec![SHOP.to_owned()]).await;
    let lan = app.member("Lan").await;
    for path in [lan.path("/chats"), "/health".to_owned()] {
        let answer = lan.request(Method::GET, &path).header("origin", SHOP).send().await.unwrap();
        let headers = answer.headers();
        assert_eq!(headers["access-control-allow-origin"], SHOP, "{path}");
        assert_eq!(headers["access-control-allow-credentials"], "true", "{path}");
        let other = lan.request(Method::GET, &path).header("origin", "https://other.example").send().await.unwrap();
        assert!(!other.headers().contains_key("access-control-allow-origin"), "{path}");
    }
}
