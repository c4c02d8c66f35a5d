//! Stock clients and server libraries, unmodified from their registries, against a real server: the
//! scripts of `tests/stock` run them, and what they tell is judged here.

mod assistants;
mod channels;
mod libraries;
mod lossless;
mod pages;
mod proxies;
mod streams;

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::pigeon::Pigeon;
use crate::support::script::{Script, node};

/// Three users of a platform; two of them have a conversation.
struct Room<'a> {
    app: &'a TestApp,
    ana: Pigeon<'a>,
    rui: Pigeon<'a>,
    eve: Pigeon<'a>,
    conversation: String,
}

impl<'a> Room<'a> {
    async fn open(app: &'a TestApp) -> Self {
        let (ana, rui, conversation) = app.pair().await;
        let eve = app.pigeon(&ana.platform, "Eve").await;
        Self { app, ana, rui, eve, conversation }
    }

    /// What a script has to know, and `more`.
    fn world(&self, more: &Value) -> Value {
        let platform = &self.ana.platform;
        let user = |pigeon: &Pigeon<'_>| json!({"token": pigeon.token, "uuid": pigeon.uuid()});
        let mut world = json!({
            "url": self.app.url, "app": platform.id.to_string(), "key": platform.key, "secret": platform.secret,
            "conversation": self.conversation,
            "ana": user(&self.ana), "rui": user(&self.rui), "eve": user(&self.eve),
        });
        let members = more.as_object().expect("an object").clone();
        world.as_object_mut().expect("an object").extend(members);
        world
    }

    /// Starts a script with a stock client; `None` when the suite is left out.
    fn script(&self, name: &str, more: &Value) -> Option<Script> {
        node(name, &self.world(more))
    }
}

/// What a script comes to in a room of its own; `None` when the suite is left out.
async fn comes_to(name: &str, more: &Value) -> Option<(Value, Value)> {
    let app = TestApp::start().await;
    let room = Room::open(&app).await;
    let result = room.script(name, more)?.result().await;
    Some((result, room.world(&json!({}))))
}
