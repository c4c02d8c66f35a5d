//! Webhooks out, from the outside: a real endpoint that is told what happens, whatever it does.

mod endpoints;
mod order;
mod private;
mod pull;
mod pusher;
mod refusals;
mod replay;

use std::time::Duration;

use reqwest::{Method, StatusCode};
use roost::chat::{HookOwner, WebhookDraft};
use roost::config::Config;
use roost::domain::{EventId, HookForm, Webhook, WebhookId};
use serde_json::{Value, json};

use crate::support::app::{TestApp, answer};
use crate::support::pigeon::Pigeon;
use crate::support::receiver::Receiver;

const HOOKS: &str = "/api/v1/webhooks";

/// A server that may post to this machine, and to one endpoint one thing after the other at the most.
async fn server(change: impl FnOnce(&mut Config)) -> TestApp {
    TestApp::with(|config| {
        config.webhooks.allow_private = true;
        config.webhooks.timeout_s = 1;
        change(config);
    })
    .await
}

impl TestApp {
    /// Takes what there is and sends what is due; how many posts that were.
    async fn crank(&self) -> usize {
        self.app.outbox.turn().await.expect("a turn")
    }

    async fn waits(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// The operator's endpoint.
    async fn operators(&self, receiver: &Receiver) -> Webhook {
        let draft = WebhookDraft {
            url: receiver.url.clone(),
            form: HookForm::Standard,
            kinds: Vec::new(),
            after: Some(EventId::START),
        };
        self.app.chat.add_webhook(None, draft).await.expect("an endpoint")
    }

    /// An endpoint as it stands.
    async fn hook(&self, id: i64) -> Webhook {
        self.app.chat.webhook(HookOwner::Anybody, WebhookId(id)).await.expect("the endpoint")
    }
}

/// A platform's own backend, which calls with the ability `events`.
struct Backend<'a> {
    app: &'a TestApp,
    token: String,
}

impl<'a> Backend<'a> {
    async fn of(pigeon: &Pigeon<'a>) -> Self {
        let name = format!("Backend {}", pigeon.platform.id);
        let user = pigeon.app.pigeon_who(&pigeon.platform, &name.replace(' ', "-"), false, &["events"]).await;
        Self { app: pigeon.app, token: user.token }
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.app.request(method, path).bearer_auth(&self.token).json(body)).await
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.app.request(Method::GET, path).bearer_auth(&self.token)).await
    }

    async fn shown(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["data"].clone()
    }

    /// Adds an endpoint; its number and its secret.
    async fn adds(&self, receiver: &Receiver) -> (i64, String) {
        let (status, body) = self.send(Method::POST, HOOKS, &json!({"url": receiver.url})).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        let data = &body["data"];
        (data["id"].as_i64().expect("a number"), data["secret"].as_str().expect("a secret").to_owned())
    }
}
