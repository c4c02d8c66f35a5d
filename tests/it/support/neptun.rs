//! A user of the Neptun door: a browser with its cookie.

use reqwest::header::{COOKIE, HeaderMap, SET_COOKIE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::app::{TestApp, answer, whole_answer};

/// What every member's password is.
pub const PASSWORD: &str = "Correct-Horse-9";

/// Somebody who is signed in.
pub struct Member<'a> {
    pub app: &'a TestApp,
    pub id: i64,
    pub email: String,
    /// The cookie as it goes over the wire: `neptun-session=…`.
    pub cookie: String,
}

/// The cookie that an answer sets, without its attributes.
pub fn cookie_of(headers: &HeaderMap) -> String {
    let set = headers[SET_COOKIE].to_str().expect("text");
    set.split(';').next().expect("a pair").to_owned()
}

impl TestApp {
    /// Somebody new, who is signed in.
    pub async fn member(&self, name: &str) -> Member<'_> {
        let email = format!("{}@example.test", name.to_lowercase());
        let body = json!({"email": email, "password": PASSWORD});
        let (status, headers, body) = whole_answer(self.request(Method::POST, "/api/auth/sign-up").json(&body)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let id = body["user"]["id"].as_i64().expect("a number");
        Member { app: self, id, email, cookie: cookie_of(&headers) }
    }

    /// Signs in with a password: status, headers and body.
    pub async fn logs_in(&self, email: &str, password: &str) -> (StatusCode, HeaderMap, Value) {
        let body = json!({"email": email, "password": password});
        whole_answer(self.request(Method::POST, "/api/auth/login").json(&body)).await
    }
}

impl<'a> Member<'a> {
    /// The same user in another browser.
    pub async fn elsewhere(&self) -> Member<'a> {
        let (status, headers, body) = self.app.logs_in(&self.email, PASSWORD).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        Member { app: self.app, id: self.id, email: self.email.clone(), cookie: cookie_of(&headers) }
    }

    /// A path of this user.
    pub fn path(&self, rest: &str) -> String {
        format!("/api/users/{}{rest}", self.id)
    }

    /// The path of a chat's messages.
    pub fn messages(&self, chat: i64) -> String {
        self.path(&format!("/chats/{chat}/messages"))
    }

    /// A request with the cookie, to any path.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.app.request(method, path).header(COOKIE, &self.cookie)
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.send(Method::POST, path, body).await
    }

    pub async fn send(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        answer(self.request(method, path).json(&body)).await
    }

    /// A form, as browsers encode it.
    pub async fn form(&self, method: Method, path: &str, form: &str) -> (StatusCode, Value) {
        let request = self.request(method, path).header("content-type", "application/x-www-form-urlencoded");
        answer(request.body(form.to_owned())).await
    }

    /// The code of `HEAD /api/auth/check`.
    pub async fn checks(&self) -> StatusCode {
        answer(self.request(Method::HEAD, "/api/auth/check")).await.0
    }

    /// A new chat's number.
    pub async fn chat(&self, name: &str) -> i64 {
        let body = json!({"name": name, "model": "google/gemma-2-27b-it"});
        let (status, body) = self.post(&self.path("/chats"), body).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["chat"]["id"].as_i64().expect("a number")
    }

    /// Says something in a chat and returns the message.
    pub async fn says(&self, chat: i64, actor: &str, text: &str) -> Value {
        let (status, body) = self.post(&self.messages(chat), json!({"message": text, "actor": actor})).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["chatMessage"].clone()
    }

    /// Follows all chats.
    pub async fn follows(&self, query: &str) -> super::sse::Events {
        let url = format!("{}{}{query}", self.app.url, self.path("/chats/events"));
        super::sse::Events::open(self.app.client.get(url).header(COOKIE, &self.cookie)).await
    }

    /// A chat's messages.
    pub async fn reads(&self, chat: i64) -> Vec<Value> {
        let (status, body) = self.get(&self.messages(chat)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["chatMessages"].as_array().expect("a list").clone()
    }

    /// Asks a model, as `useChat` does; `chat` is where the answer is stored.
    pub async fn asks(&self, model: &str, chat: Option<i64>, messages: Value) -> Response {
        let query = chat.map_or_else(String::new, |chat| format!("?chat_id={chat}&is_playground=false"));
        let request = self.request(Method::POST, &format!("/api/ai/{model}/chat{query}"));
        request.json(&json!({"messages": messages})).send().await.expect("an answer")
    }

    /// The texts of a chat's messages, with who said them.
    pub async fn transcript(&self, chat: i64) -> Vec<(String, String)> {
        let word = |value: &Value| value.as_str().expect("text").to_owned();
        self.reads(chat).await.iter().map(|message| (word(&message["actor"]), word(&message["message"]))).collect()
    }
}
