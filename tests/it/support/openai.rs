//! Somebody with an API key: a bearer token that may ask the assistant.

use reqwest::{Method, RequestBuilder, StatusCode};
use roost::domain::{Ability, Access, Email, Platform};
use serde_json::{Value, json};

use super::app::{TestApp, answer};
use super::sse::Events;

/// Somebody with an API key.
pub struct KeyHolder<'a> {
    pub app: &'a TestApp,
    pub key: String,
}

impl TestApp {
    /// Somebody new, with a key of their own.
    pub async fn key_holder(&self, name: &str) -> KeyHolder<'_> {
        self.key_holder_of(None, name).await
    }

    /// The same of a tenant.
    pub async fn key_holder_of(&self, tenant: Option<&Platform>, name: &str) -> KeyHolder<'_> {
        let email = Email::parse(&format!("{}@example.test", name.to_lowercase())).expect("an address");
        let chat = &self.app.chat;
        let abilities = Ability::of_people();
        let user =
            chat.add_user(tenant, email, name.to_owned(), None, false, abilities.clone()).await.expect("an account");
        let made = chat.make_token(user, "test".to_owned(), abilities, None).await.expect("a token");
        KeyHolder { app: self, key: made.token }
    }
}

impl KeyHolder<'_> {
    pub async fn access(&self) -> Access {
        self.app.app.chat.authenticate(&self.key).await.expect("a good key")
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.app.request(method, path).bearer_auth(&self.key)
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    /// What is asked has to be answered.
    pub async fn asks(&self, path: &str, body: Value) -> Value {
        let (status, body) = self.post(path, body).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    /// Asks for a stream.
    pub async fn hears(&self, path: &str, body: Value) -> Events {
        let url = format!("{}{path}", self.app.url);
        Events::open(self.app.client.post(url).bearer_auth(&self.key).json(&body)).await
    }

    /// Hears a response again.
    pub async fn resumes(&self, id: &str, query: &str) -> Events {
        let url = format!("{}/v1/responses/{id}?stream=true{query}", self.app.url);
        Events::open(self.app.client.get(url).bearer_auth(&self.key)).await
    }

    /// The texts in a chat of theirs, with who said them, by its name or identifier.
    pub async fn transcript(&self, name: &str) -> Vec<(String, String)> {
        let chat = &self.app.app.chat;
        let found = chat.named_chat(&self.access().await, name, "default").await.expect("a chat");
        let page = chat.message_page(found.id, roost::chat::MessageFilter::default()).await.expect("messages");
        page.messages.iter().map(|one| (one.role.as_str().to_owned(), one.text.clone())).collect()
    }

    /// How many chats they have.
    pub async fn chats(&self) -> usize {
        self.app.app.chat.chat_numbers(&self.access().await, Vec::new()).await.expect("numbers").len()
    }
}

/// A message of the user.
pub fn user(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

/// All that a stream has left, as JSON; what is none is text.
pub async fn rest(mut events: Events) -> Vec<Value> {
    let mut all = Vec::new();
    while let Some(event) = events.next().await {
        all.push(event.data);
    }
    all
}
