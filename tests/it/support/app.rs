//! A real server in the test's process, on a free port, with a store in a folder of its own; and
//! the actors who talk to it, each in one dialect.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use roost::app::App;
use roost::clock::Clock;
use roost::config::Config;
use roost::domain::{Ability, Email};
use roost::http::server;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::temp::TempDir;

/// How long a test waits for something that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running server.
pub struct TestApp {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// Talks to it.
    pub client: Client,
    /// Its clock: moved by hand, never waited for.
    pub clock: Clock,
    /// How it was set up.
    pub config: Config,
    /// The wired system behind the listener.
    pub app: Arc<App>,
    stop: CancellationToken,
    abandon: CancellationToken,
    serving: Option<JoinHandle<()>>,
    _dir: TempDir,
    _engine: super::engine::Engine,
}

impl TestApp {
    /// A server with the defaults, but without rate limits.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A server with those defaults, changed.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = TempDir::new();
        let mut config = Config { data: dir.path().to_owned(), ..Config::default() };
        config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.limits.enabled = false;
        config.http.drain_s = 3;
        // Not this process's own program, which runs tests.
        config.knowledge.extractor = env!("CARGO_BIN_EXE_roost").to_owned();
        let engine = super::engine::Engine::new().await;
        engine.configure(&mut config);
        change(&mut config);
        let clock = Clock::system();
        let (app, listener) = open(&config, &clock).await;
        let address = listener.local_addr().expect("a bound listener has an address");
        config.listen = address;
        let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
        let serving = Some(serve(&app, listener, &stop, &abandon));
        // No pooling across tests, and no proxy from the environment.
        let client = Client::builder().no_proxy().build().expect("a client");
        Self {
            url: format!("http://{address}"),
            client,
            clock,
            config,
            app,
            stop,
            abandon,
            serving,
            _dir: dir,
            _engine: engine,
        }
    }

    /// Stops as `SIGTERM` does, and waits until the last connection is gone.
    pub async fn stop(&mut self) {
        self.app.start_draining();
        self.stop.cancel();
        self.app.chat.run_tasks().close();
        if let Some(serving) = self.serving.take() {
            let sockets = self.app.sockets.drain(self.app.web.drain_spread());
            let ended = async { tokio::join!(sockets, serving) };
            let ended = tokio::time::timeout(Duration::from_secs(self.config.http.drain_s), ended).await;
            if ended.is_err() {
                self.abandon.cancel();
                self.app.sockets.abandon();
            }
        }
        self.app.chat.run_tasks().wait().await;
        self.app.background.end().await;
    }

    /// Stops, and starts again over the same folder and on the same port.
    pub async fn restart(&mut self) {
        self.stop().await;
        let (app, listener) = open(&self.config, &self.clock).await;
        (self.stop, self.abandon) = (CancellationToken::new(), CancellationToken::new());
        self.serving = Some(serve(&app, listener, &self.stop, &self.abandon));
        self.app = app;
    }

    /// A request to a path.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).timeout(PATIENCE)
    }

    /// `GET`: status and JSON (null when the body is none).
    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    /// A figure of `/metrics`.
    pub async fn figure(&self, name: &str) -> f64 {
        let text = self.request(Method::GET, "/metrics").send().await.expect("figures").text().await.expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("roost_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
    }

    /// Waits until a figure is what it has to become.
    pub async fn await_figure(&self, name: &str, want: f64) {
        let began = std::time::Instant::now();
        loop {
            let is = self.figure(name).await;
            if (is - want).abs() < 0.5 {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{name} stays at {is} instead of {want}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A guest with a session of their own.
    pub async fn guest(&self) -> Guest<'_> {
        let (status, body) = self.post("/api/v1/chat/guest/session", json!({"guest_name": "Lan"})).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        let session = body["data"]["session"].clone();
        let key = session["session_key"].as_str().expect("a key").to_owned();
        Guest { app: self, key, id: session["id"].as_i64().expect("a number") }
    }

    /// A member of staff who is signed in.
    pub async fn staff(&self, name: &str) -> Staff<'_> {
        let email = format!("{}@staff.test", name.to_lowercase());
        let password = "a good password".to_owned();
        let added = self.app.chat.add_user(
            None,
            Email::parse(&email).expect("an address"),
            name.to_owned(),
            Some(password.clone()),
            true,
            vec![Ability::any()],
        );
        let id = added.await.expect("a new account").id.0;
        let (status, body) = self.post("/api/v1/auth/login", json!({"email": email, "password": password})).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let token = body["data"]["token"].as_str().expect("a token").to_owned();
        Staff { app: self, id, token, email, password }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
        self.abandon.cancel();
    }
}

/// Waits until something is so.
pub async fn until(is: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !is() {
        assert!(began.elapsed() < PATIENCE, "it does not become so");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until something that has to be asked for is so.
pub async fn until_async(mut is: impl AsyncFnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is().await {
        assert!(began.elapsed() < PATIENCE, "it does not become so");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn open(config: &Config, clock: &Clock) -> (Arc<App>, TcpListener) {
    // The port may be held for a moment by the connections of the server before.
    let listener = loop {
        match TcpListener::bind(config.listen).await {
            Ok(listener) => break listener,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    (Arc::new(App::open(config, clock.clone()).await.expect("the system opens")), listener)
}

fn serve(app: &App, listener: TcpListener, stop: &CancellationToken, abandon: &CancellationToken) -> JoinHandle<()> {
    let router = app.router.clone();
    tokio::spawn(server::serve(listener, router, Arc::clone(&app.web), stop.clone(), abandon.clone()))
}

/// Sends a request: status and JSON (null when the body is none).
pub async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let text = response.text().await.expect("a whole body");
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// Sends a request: status, headers and JSON.
pub async fn whole_answer(request: RequestBuilder) -> (StatusCode, HeaderMap, Value) {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.expect("a whole body");
    (status, headers, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// A website's guest, who polls.
pub struct Guest<'a> {
    pub app: &'a TestApp,
    pub key: String,
    pub id: i64,
}

impl Guest<'_> {
    pub fn path(&self, rest: &str) -> String {
        format!("/api/v1/chat/guest/{}/{rest}", self.key)
    }

    /// Says something and returns the message.
    pub async fn says(&self, text: &str) -> Value {
        let (status, body) = self.app.post(&self.path("message"), json!({"message": text})).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["data"].clone()
    }

    /// The messages after a cursor.
    pub async fn polls(&self, after: i64) -> Vec<Value> {
        let (status, body) = self.app.get(&self.path(&format!("messages?last_message_id={after}"))).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["data"].as_array().expect("a list").clone()
    }

    /// The session as its history shows it.
    pub async fn session(&self) -> Value {
        let (status, body) = self.app.get(&self.path("history")).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["data"]["session"].clone()
    }

    /// Follows the session's events from a cursor on.
    pub async fn follows(&self, after: i64) -> super::sse::Events {
        let request = self.app.client.get(format!("{}{}", self.app.url, self.path("events")));
        super::sse::Events::open(request.header("last-event-id", after)).await
    }
}

/// A member of staff who is signed in.
pub struct Staff<'a> {
    pub app: &'a TestApp,
    pub id: i64,
    pub token: String,
    pub email: String,
    pub password: String,
}

impl Staff<'_> {
    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.app.request(Method::GET, path).bearer_auth(&self.token)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        answer(self.app.request(Method::POST, path).bearer_auth(&self.token).json(&body)).await
    }

    /// Follows the inbox.
    pub async fn follows(&self, query: &str) -> super::sse::Events {
        let url = format!("{}/api/v1/chat/staff/events{query}", self.app.url);
        super::sse::Events::open(self.app.client.get(url).bearer_auth(&self.token)).await
    }

    /// Takes a session.
    pub async fn takes(&self, guest: &Guest<'_>) -> Value {
        let (status, body) = self.post(&format!("/api/v1/chat/admin/{}/assign", guest.key), json!({})).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["data"].clone()
    }
}
