//! A user of a platform, who writes to others of it.

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use roost::domain::{Ability, Email, Platform, User};
use serde_json::{Value, json};

use super::app::{TestApp, answer, whole_answer};

/// Where the door's chat routes are.
pub const BASE: &str = "/api/v1/pigeons/chat";

/// The password of every user.
pub const PASSWORD: &str = "a good password";

/// A user who is signed in.
pub struct Pigeon<'a> {
    pub app: &'a TestApp,
    pub platform: Platform,
    pub user: User,
    pub token: String,
}

impl TestApp {
    /// A tenant.
    pub async fn platform(&self, name: &str) -> Platform {
        self.app.chat.add_platform(name).await.expect("a platform")
    }

    /// A user of a tenant.
    pub async fn pigeon(&self, platform: &Platform, name: &str) -> Pigeon<'_> {
        self.pigeon_who(platform, name, false, &["backoffice"]).await
    }

    /// A member of a tenant's staff.
    pub async fn pigeon_of_staff(&self, platform: &Platform, name: &str) -> Pigeon<'_> {
        self.pigeon_who(platform, name, true, &["backoffice", "staff"]).await
    }

    /// A user with such a token.
    pub async fn pigeon_who(&self, platform: &Platform, name: &str, is_staff: bool, abilities: &[&str]) -> Pigeon<'_> {
        let email = Email::parse(&format!("{}@pigeons.test", name.to_lowercase())).expect("an address");
        let abilities: Vec<_> = abilities.iter().map(|name| Ability::parse(name).expect("an ability")).collect();
        let chat = &self.app.chat;
        let added = chat.add_user(
            Some(platform),
            email,
            name.to_owned(),
            Some(PASSWORD.to_owned()),
            is_staff,
            abilities.clone(),
        );
        let user = added.await.expect("a new account");
        let made = chat.make_token(user, "test".to_owned(), abilities, None).await.expect("a token");
        Pigeon { app: self, platform: platform.clone(), user: made.user, token: made.token }
    }

    /// Two users of a tenant, and their conversation.
    pub async fn pair(&self) -> (Pigeon<'_>, Pigeon<'_>, String) {
        self.pair_named("Acme").await
    }

    /// The same, of a tenant with that name.
    pub async fn pair_named(&self, name: &str) -> (Pigeon<'_>, Pigeon<'_>, String) {
        let acme = self.platform(name).await;
        let (ana, rui) = (self.pigeon(&acme, "Ana").await, self.pigeon(&acme, "Rui").await);
        let conversation = ana.opens(&rui).await;
        (ana, rui, conversation)
    }
}

impl Pigeon<'_> {
    /// A request with the user's token and the platform's key. A path that does not begin with a slash is one of
    /// the chat routes.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("{BASE}/{path}") };
        let request = self.app.request(method, &path).bearer_auth(&self.token);
        request.header("x-public-key", self.platform.key.to_string())
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn send(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        answer(self.request(method, path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::DELETE, path)).await
    }

    /// What identifies the user to others.
    pub fn uuid(&self) -> String {
        self.user.uuid.to_string()
    }

    /// Opens the conversation with another user; its uuid.
    pub async fn opens(&self, other: &Pigeon<'_>) -> String {
        let (status, body) = self.post("conversations", json!({"participant_uuid": other.uuid()})).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        body["data"]["uuid"].as_str().expect("a uuid").to_owned()
    }

    /// The body that says something to another user.
    pub fn message(&self, conversation: &str, to: &Pigeon<'_>, text: &str) -> Value {
        json!({
            "conversation_uuid": conversation, "receiver_uuid": to.uuid(), "context_text": text,
            "context_type": "text", "device": {"type": "web", "os": "Linux"},
        })
    }

    /// Says something; the id of the message.
    pub async fn says(&self, conversation: &str, to: &Pigeon<'_>, text: &str) -> String {
        let (status, body) = self.post("messages", self.message(conversation, to, text)).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        body["data"]["message_id"].as_str().expect("an id").to_owned()
    }

    /// Sends with an idempotency key.
    pub async fn retries(&self, path: &str, key: &str, body: &Value) -> (StatusCode, HeaderMap, Value) {
        whole_answer(self.request(Method::POST, path).header("idempotency-key", key).json(body)).await
    }

    /// Follows all conversations.
    pub async fn follows(&self, query: &str) -> super::sse::Events {
        let request = self.app.client.get(format!("{}{BASE}/events{query}", self.app.url)).bearer_auth(&self.token);
        super::sse::Events::open(request.header("x-public-key", self.platform.key.to_string())).await
    }

    /// The messages of a conversation.
    pub async fn lists(&self, conversation: &str) -> Vec<Value> {
        let (status, body) = self.get(&format!("conversations/{conversation}/messages")).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["data"].as_array().expect("a list").clone()
    }

    /// The conversations.
    pub async fn inbox(&self) -> Vec<Value> {
        let (status, body) = self.get("conversations").await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["data"].as_array().expect("a list").clone()
    }

    /// How many messages wait in a conversation.
    pub async fn unread(&self, conversation: &str) -> u64 {
        let inbox = self.inbox().await;
        let entry = inbox.iter().find(|entry| entry["uuid"] == conversation).expect("the conversation");
        let me = entry["participants"].as_array().expect("a list").iter().find(|p| p["uuid"] == self.uuid());
        me.expect("oneself")["pivot"]["unread_count"].as_u64().expect("a count")
    }
}
