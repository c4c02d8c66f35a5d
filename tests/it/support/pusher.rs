//! A client of the Pusher protocol that says what it is told to say, and an app's backend.

use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, StatusCode};
use roost::domain::{Platform, User};
use roost::http::signature;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Message;

use super::app::{PATIENCE, TestApp, answer, until_async};
use super::pigeon::Pigeon;

/// A connection.
pub struct Client {
    ws: WebSocketStream<TcpStream>,
    /// The socket's id, once it is established.
    pub id: String,
    app: Platform,
}

/// What the server said.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// A frame, with `data` read.
    Frame(Value),
    /// It closed, with that code.
    Closed(u16),
}

impl Client {
    /// Opens a connection to a path, and hears nothing yet.
    pub async fn open(app: &TestApp, platform: &Platform, path: &str) -> Self {
        let stream = TcpStream::connect(app.config.listen).await.expect("a connection");
        Self::over(stream, app, platform, path).await
    }

    /// The same over that stream.
    pub async fn over(stream: TcpStream, app: &TestApp, platform: &Platform, path: &str) -> Self {
        let url = format!("{}{path}", app.url.replace("http://", "ws://"));
        let opened = tokio_tungstenite::client_async(url, stream);
        let (ws, _) = timeout(PATIENCE, opened).await.expect("an answer in time").expect("a handshake");
        Self { ws, id: String::new(), app: platform.clone() }
    }

    /// A client of that app, who is established.
    pub async fn connect(app: &TestApp, platform: &Platform) -> Self {
        let mut client = Self::open(app, platform, &path(platform)).await;
        let hello = client.next().await;
        assert_eq!(hello["event"], "pusher:connection_established", "{hello}");
        client.id = hello["data"]["socket_id"].as_str().expect("a socket's id").to_owned();
        client
    }

    pub async fn say(&mut self, message: Value) {
        self.say_text(&message.to_string()).await;
    }

    pub async fn say_text(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    /// Sends any message; the server may have hung up.
    pub async fn send(&mut self, message: Message) {
        let _ = timeout(PATIENCE, self.ws.send(message)).await.expect("the server takes or closes");
    }

    /// What the server says next.
    pub async fn hear(&mut self) -> Said {
        loop {
            let message = timeout(PATIENCE, self.ws.next()).await.expect("the server says something in time");
            match message {
                Some(Ok(Message::Text(text))) => {
                    let mut frame: Value = serde_json::from_str(&text).expect("a frame is JSON");
                    if let Some(data) = frame.get("data") {
                        // Always a string; what it holds is JSON when the server wrote it.
                        let text = data.as_str().unwrap_or_else(|| panic!("data is no string in {frame}"));
                        let read = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
                        frame["data"] = read;
                    }
                    return Said::Frame(frame);
                }
                Some(Ok(Message::Close(close))) => {
                    // The answer to it waits to be sent.
                    let _ = self.ws.flush().await;
                    return Said::Closed(close.map_or(1005, |close| close.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Said::Closed(1006),
            }
        }
    }

    /// The next frame.
    pub async fn next(&mut self) -> Value {
        match self.hear().await {
            Said::Frame(frame) => frame,
            Said::Closed(code) => panic!("closed with {code}"),
        }
    }

    /// The next frame of that event; others are skipped.
    pub async fn next_of(&mut self, event: &str) -> Value {
        let next = async {
            loop {
                let frame = self.next().await;
                if frame["event"] == event {
                    return frame;
                }
            }
        };
        timeout(PATIENCE, next).await.expect("the event in time")
    }

    /// The code with which the server closes; what it says before is skipped.
    pub async fn closed(&mut self) -> u16 {
        let closed = async {
            loop {
                if let Said::Closed(code) = self.hear().await {
                    return code;
                }
            }
        };
        timeout(PATIENCE, closed).await.expect("the end in time")
    }

    /// The code of the `pusher:error` that comes next.
    pub async fn error(&mut self) -> Value {
        let frame = self.next().await;
        assert_eq!(frame["event"], "pusher:error", "{frame}");
        frame["data"]["code"].clone()
    }

    /// Asks for a channel, with a signature that is right; for a presence channel as somebody.
    pub async fn asks(&mut self, channel: &str, data: Option<&Value>) {
        let data = data.map(Value::to_string);
        let signed = signature::subscription(&self.app.secret, &self.id, channel, data.as_deref());
        let auth = format!("{}:{signed}", self.app.key);
        let mut wish = json!({"channel": channel, "auth": auth});
        if let Some(data) = data {
            wish["channel_data"] = json!(data);
        }
        self.say(json!({"event": "pusher:subscribe", "data": wish})).await;
    }

    /// Asks, and is let in; what it is told with it.
    pub async fn subscribes(&mut self, channel: &str) -> Value {
        self.asks(channel, None).await;
        self.is_in(channel).await
    }

    /// Is let into a presence channel as somebody; who is there.
    pub async fn joins(&mut self, channel: &str, user: &str) -> Value {
        self.asks(channel, Some(&json!({"user_id": user, "user_info": {"name": user}}))).await;
        self.is_in(channel).await["presence"].clone()
    }

    async fn is_in(&mut self, channel: &str) -> Value {
        let frame = self.next().await;
        assert_eq!(frame["event"], "pusher_internal:subscription_succeeded", "{frame}");
        assert_eq!(frame["channel"], channel);
        frame["data"].clone()
    }

    /// Asks, and is refused; the status of it.
    pub async fn is_refused(&mut self, channel: &str) -> Value {
        let frame = self.next().await;
        assert_eq!((&frame["event"], &frame["channel"]), (&json!("pusher:subscription_error"), &json!(channel)));
        assert!(frame["data"]["type"].is_string() && frame["data"]["error"].is_string(), "{frame}");
        frame["data"]["status"].clone()
    }

    pub async fn leaves(&mut self, channel: &str) {
        self.say(json!({"event": "pusher:unsubscribe", "data": {"channel": channel}})).await;
    }

    pub async fn whispers(&mut self, channel: &str, event: &str, data: Value) {
        self.say(json!({"event": event, "channel": channel, "data": data})).await;
    }

    /// Signs in with a signature that is right.
    pub async fn signs_in(&mut self, user_data: &Value) {
        let user_data = user_data.to_string();
        let signed = signature::sign_in(&self.app.secret, &self.id, &user_data);
        let auth = format!("{}:{signed}", self.app.key);
        self.say(json!({"event": "pusher:signin", "data": {"auth": auth, "user_data": user_data}})).await;
    }

    /// Everything that was said until the answer to a ping.
    pub async fn so_far(&mut self) -> Vec<Value> {
        self.say(json!({"event": "pusher:ping", "data": {}})).await;
        let mut said = Vec::new();
        loop {
            let frame = self.next().await;
            if frame["event"] == "pusher:pong" {
                return said;
            }
            said.push(frame);
        }
    }
}

impl TestApp {
    /// Waits until a user has no connection.
    pub async fn is_offline(&self, platform: &Platform, user: &User) {
        until_async(async || !self.app.chat.is_online(platform, user).await).await;
    }
}

/// Where a stock client connects.
pub fn path(platform: &Platform) -> String {
    format!("/app/{}?protocol=7&client=js&version=8.6.0&flash=false", platform.key)
}

impl Pigeon<'_> {
    /// Subscribes as a stock client does: asks the auth endpoint, and shows what it answers.
    pub async fn enters(&self, client: &mut Client, channel: &str, more: &[(&str, &str)]) -> StatusCode {
        let mut form = vec![("socket_id", client.id.as_str()), ("channel_name", channel)];
        form.extend_from_slice(more);
        let request = self.app.request(Method::POST, "/broadcasting/auth").bearer_auth(&self.token).form(&form);
        let (status, told) = answer(request).await;
        if status == StatusCode::OK {
            let mut wish = told;
            wish["channel"] = json!(channel);
            client.say(json!({"event": "pusher:subscribe", "data": wish})).await;
        }
        status
    }
}

/// An app's own backend, as a stock library speaks for it.
pub struct Backend<'a> {
    pub app: &'a TestApp,
    pub platform: Platform,
}

impl<'a> Backend<'a> {
    pub fn new(app: &'a TestApp, platform: &Platform) -> Self {
        Self { app, platform: platform.clone() }
    }

    /// The path of a route.
    pub fn path(&self, rest: &str) -> String {
        format!("/apps/{}/{rest}", self.platform.key)
    }

    /// The query that signs a request.
    pub fn query(&self, method: &Method, path: &str, more: &[(&str, &str)], body: &[u8]) -> Vec<(String, String)> {
        let at = self.app.clock.now().0 / 1_000_000;
        let mut pairs = vec![
            ("auth_key".to_owned(), self.platform.key.to_string()),
            ("auth_timestamp".to_owned(), at.to_string()),
            ("auth_version".to_owned(), "1.0".to_owned()),
        ];
        if !body.is_empty() {
            pairs.push(("body_md5".to_owned(), signature::md5(body)));
        }
        pairs.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        pairs.sort();
        let text: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let text = format!("{method}\n{path}\n{}", text.join("&"));
        pairs.push(("auth_signature".to_owned(), signature::sign(&self.platform.secret, &[text.as_bytes()])));
        pairs
    }

    pub async fn get(&self, rest: &str, more: &[(&str, &str)]) -> (StatusCode, Value) {
        let path = self.path(rest);
        let query = self.query(&Method::GET, &path, more, b"");
        answer(self.app.request(Method::GET, &path).query(&query)).await
    }

    pub async fn post(&self, rest: &str, body: &Value) -> (StatusCode, Value) {
        let (path, body) = (self.path(rest), body.to_string());
        let query = self.query(&Method::POST, &path, &[], body.as_bytes());
        let request = self.app.request(Method::POST, &path).query(&query);
        answer(request.header("content-type", "application/json").body(body)).await
    }

    /// Tells an event to a channel.
    pub async fn tells(&self, channel: &str, event: &str, data: Value) {
        let body = json!({"name": event, "channels": [channel], "data": data.to_string()});
        assert_eq!(self.post("events", &body).await, (StatusCode::OK, json!({})));
    }
}
