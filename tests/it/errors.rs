//! Error × dialect: the same thing goes wrong at each door, and each says so in its own envelope. The
//! whole matrix is a snapshot; what changes in it changes for somebody's front end.

use std::collections::BTreeMap;

use reqwest::{Method, RequestBuilder};
use roost::config::{Config, ListSessions};
use roost::domain::{Ability, Email, Tag};
use serde_json::{Value, json};

use crate::support::app::TestApp;

const DOORS: [&str; 6] = ["guest", "chats", "pigeons", "neptun", "openai", "aisdk"];
/// The AI SDK's chats are whoever's who knows their ids, and made when they are not there.
const NO_CREDENTIALS: &str = "aisdk";

/// A conversation at each door, and the credentials for it.
struct World {
    app: TestApp,
    key: String,
    conversation: String,
    peer: String,
    tokens: Tokens,
    nina: i64,
    chat: i64,
    cookie: String,
}

struct Tokens {
    ana: String,
    /// Hers, too, and good for nothing.
    weak: String,
    user: String,
}

impl World {
    async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let app = TestApp::with(|config| {
            config.chats.list_sessions = ListSessions::Key;
            change(config);
        })
        .await;
        let chat = &app.app.chat;
        let platform = chat.add_platform("Acme").await.unwrap();
        let user = async |platform, name: &str| {
            let email = Email::parse(&format!("{name}@example.test")).unwrap();
            chat.add_user(platform, email, name.to_owned(), None, false, vec![Ability::any()]).await.unwrap()
        };
        let (ana, ben) = (user(Some(&platform), "ana").await, user(Some(&platform), "ben").await);
        let nina = user(None, "nina").await;
        let token = async |user, ability: &str| {
            let abilities = vec![Ability::parse(ability).unwrap()];
            chat.make_token(user, "test".to_owned(), abilities, None).await.unwrap().token
        };
        let tokens = Tokens {
            ana: token(ana.clone(), "*").await,
            weak: token(ana, "nothing").await,
            user: token(nina.clone(), "nothing").await,
        };
        let access = chat.authenticate(&tokens.ana).await.unwrap();
        let (direct, _) = chat.open_direct(&access, ben.uuid, Tag::default()).await.unwrap();
        let cookie = chat.open_session(&nina).await.unwrap();
        let own = chat.authenticate_session(&cookie).await.unwrap();
        let own = chat.create_chat(&own, "Rooms".to_owned(), "google/gemma-2-27b-it".to_owned(), None).await.unwrap();
        let world = Self {
            key: platform.key.to_string(),
            conversation: direct.conversation.uuid.to_string(),
            peer: ben.uuid.to_string(),
            tokens,
            nina: nina.id.0,
            chat: own.id.0,
            cookie,
            app,
        };
        for (path, body) in [
            ("/api/v1/chat/guest/session", json!({"session_key": "the-key-of-a-guest"})),
            ("/api/chats/sessions/", json!({"session_id": "lp-1"})),
        ] {
            assert_eq!(world.app.post(path, body).await.0.as_u16(), 201);
        }
        world
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.app.request(method, path)
    }

    /// With the door's good credential, where it wants one.
    fn good(&self, door: &str, request: RequestBuilder) -> RequestBuilder {
        match door {
            "pigeons" => request.bearer_auth(&self.tokens.ana).header("x-public-key", &self.key),
            "neptun" => request.header("cookie", format!("neptun-session={}", self.cookie)),
            "openai" => request.bearer_auth(&self.tokens.ana),
            _ => request,
        }
    }

    /// Where the door's messages go: to that conversation, or to one that is not there.
    fn send_path(&self, door: &str, there: bool) -> String {
        match (door, there) {
            ("guest", true) => "/api/v1/chat/guest/the-key-of-a-guest/message".to_owned(),
            ("guest", false) => "/api/v1/chat/guest/nobody-has-this-key/message".to_owned(),
            ("chats", _) => "/api/chats/messages/".to_owned(),
            ("pigeons", _) => "/api/v1/pigeons/chat/messages".to_owned(),
            ("openai", true) => "/v1/chat/completions".to_owned(),
            ("openai", false) => "/v1/responses".to_owned(),
            ("aisdk", _) => "/api/chat".to_owned(),
            (_, true) => format!("/api/users/{}/chats/{}/messages", self.nina, self.chat),
            (_, false) => format!("/api/users/{}/chats/999999/messages", self.nina),
        }
    }

    fn body(&self, door: &str, there: bool, text: &Value) -> Value {
        match door {
            "guest" => json!({"message": text}),
            "chats" => json!({"session_id": if there { "lp-1" } else { "lp-nobody" }, "message": text, "role": "user"}),
            "pigeons" => json!({
                "conversation_uuid": if there { &self.conversation[..] } else { "0a1b2c3d-0000-4000-8000-000000000000" },
                "receiver_uuid": self.peer,
                "context_text": text,
                "context_type": "text",
                "device": {"type": "web", "os": "Linux"},
            }),
            "openai" if there => json!({"messages": [{"role": "user", "content": text}], "conversation": "errors"}),
            "openai" => json!({"input": text, "previous_response_id": "resp_0a1b2c3d000040008000000000000000"}),
            "aisdk" => {
                json!({"id": "sdk-1", "messages": [{"role": "user", "parts": [{"type": "text", "text": text}]}]})
            }
            _ => json!({"message": text, "actor": "user"}),
        }
    }

    fn send(&self, door: &str, there: bool, text: &Value) -> RequestBuilder {
        let request = self.request(Method::POST, &self.send_path(door, there));
        self.good(door, request).json(&self.body(door, there, text))
    }

    fn raw(&self, door: &str, kind: &str, body: String) -> RequestBuilder {
        let request = self.request(Method::POST, &self.send_path(door, true));
        self.good(door, request).header("content-type", kind).body(body)
    }

    /// Something that wants a credential, without one or with one that is not good enough.
    fn guarded(&self, door: &str, token: Option<&str>) -> RequestBuilder {
        let path = match door {
            "guest" => "/api/v1/chat/staff/sessions".to_owned(),
            "chats" => "/api/chats/sessions/".to_owned(),
            "pigeons" => "/api/v1/pigeons/chat/conversations".to_owned(),
            "openai" => "/v1/models".to_owned(),
            _ => format!("/api/users/{}/chats", self.nina),
        };
        let request = self.request(Method::GET, &path);
        let request = if door == "pigeons" { request.header("x-public-key", &self.key) } else { request };
        match (door, token) {
            ("neptun", Some(token)) => request.header("cookie", format!("neptun-session={token}")),
            (_, Some(token)) => request.bearer_auth(token),
            (_, None) => request,
        }
    }

    /// Who is signed in and may not: a page of another site, at the door whose credential browsers send.
    fn forbidden(&self, door: &str) -> RequestBuilder {
        match door {
            "neptun" => self.send(door, true, &json!("hello")).header("sec-fetch-site", "cross-site"),
            "pigeons" | "openai" => self.guarded(door, Some(&self.tokens.weak)),
            _ => self.guarded(door, Some(&self.tokens.user)),
        }
    }
}

/// What an answer is to a front end, without what differs from run to run.
async fn shown(request: RequestBuilder) -> Value {
    let answer = request.send().await.expect("an answer");
    let mut shown = json!({"status": answer.status().as_u16()});
    for name in ["www-authenticate", "retry-after", "idempotent-replayed"] {
        if let Some(value) = answer.headers().get(name) {
            let value = if name == "retry-after" { "(seconds)" } else { value.to_str().unwrap() };
            shown[name] = json!(value);
        }
    }
    let mut body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default();
    for moving in ["trace_id", "timestamp"] {
        if body.get(moving).is_some() {
            body[moving] = json!("(moving)");
        }
    }
    if let Some(detail) = body.get("detail").and_then(Value::as_str).filter(|detail| detail.contains("throttled")) {
        let words = detail.split(' ').map(|word| if word.parse::<u64>().is_ok() { "N" } else { word });
        body["detail"] = json!(words.collect::<Vec<_>>().join(" "));
    }
    shown["body"] = body;
    shown
}

type Matrix = BTreeMap<&'static str, BTreeMap<&'static str, Value>>;

async fn note(matrix: &mut Matrix, error: &'static str, door: &'static str, request: RequestBuilder) {
    matrix.entry(error).or_default().insert(door, shown(request).await);
}

#[tokio::test]
async fn every_error_in_every_dialect() {
    if crate::support::engine::is_other("a full store") {
        return;
    }
    let mut matrix = Matrix::new();
    let world = World::new(|_| {}).await;
    let long = json!("x".repeat(40_000));
    for door in DOORS {
        let base = world.send_path(door, true);
        let prefix = match door {
            "guest" => "/api/v1/chat",
            "chats" => "/api/chats",
            "pigeons" => "/api/v1/pigeons",
            "openai" => "/v1",
            "aisdk" => "/api/chat",
            _ => "/api/users",
        };
        let nowhere = world.request(Method::GET, &format!("{prefix}/there/is/no/such/route/at/all"));
        let put = world.request(Method::PUT, &base);
        let keyed = |key: &str, text: &str| world.send(door, true, &json!(text)).header("idempotency-key", key);
        for (error, request) in [
            ("no credential", world.guarded(door, None)),
            ("no valid credential", world.guarded(door, Some("1|not-a-token"))),
            ("may not", world.forbidden(door)),
            ("no such route", world.good(door, nowhere)),
            ("no such method", world.good(door, put)),
            ("no such conversation", world.send(door, false, &json!("hello"))),
            ("not JSON", world.raw(door, "application/json", "{\"message\":".to_owned())),
            ("no object", world.raw(door, "application/json", "[1]".to_owned())),
            ("neither JSON nor a form", world.raw(door, "text/xml", "<message/>".to_owned())),
            ("body too large", world.raw(door, "application/json", " ".repeat(5 << 20))),
            ("nothing in it", world.raw(door, "application/json", "{}".to_owned())),
            ("text is null", world.send(door, true, &Value::Null)),
            ("text of a wrong type", world.send(door, true, &json!({"a": 1}))),
            ("text is blank", world.send(door, true, &json!("  "))),
            ("text too long", world.send(door, true, &long)),
            ("a key that is none", keyed("two words", "hello")),
        ] {
            let is_about_whom = ["no credential", "no valid credential", "may not", "no such conversation"];
            if door != NO_CREDENTIALS || !is_about_whom.contains(&error) {
                note(&mut matrix, error, door, request).await;
            }
        }
        assert!(keyed("k-1", "hello").send().await.unwrap().status().is_success());
        note(&mut matrix, "a key used with another body", door, keyed("k-1", "good bye")).await;
    }
    too_many(&mut matrix).await;
    storage_full(&mut matrix).await;
    insta::assert_json_snapshot!("matrix", matrix);
}

/// The second request of a minute where one is allowed.
async fn too_many(matrix: &mut Matrix) {
    let world = World::new(|config| {
        config.limits.enabled = true;
        config.limits.guest_send_per_minute = 1;
        config.limits.chats_per_minute = 2;
        config.limits.pigeons_per_minute = 1;
        config.limits.neptun_per_minute = 1;
        config.limits.openai_per_minute = 1;
        config.limits.aisdk_per_minute = 1;
    })
    .await;
    for door in DOORS {
        assert!(world.send(door, true, &json!("hello")).send().await.unwrap().status().is_success(), "{door}");
        note(matrix, "too many requests", door, world.send(door, true, &json!("again"))).await;
    }
}

/// The store has come to its configured size.
async fn storage_full(matrix: &mut Matrix) {
    let world = World::new(|config| config.store.size_mib_max = 1).await;
    let long = json!("x".repeat(30_000));
    let filled = async {
        for _ in 0..100 {
            if world.send("chats", true, &long).send().await.unwrap().status().as_u16() == 507 {
                return true;
            }
        }
        false
    };
    assert!(filled.await, "a store of one MiB takes in three");
    let long = json!("x".repeat(900));
    for door in DOORS {
        // What is left may hold a few short ones.
        for _ in 0..200 {
            if !world.send(door, true, &long).send().await.unwrap().status().is_success() {
                break;
            }
        }
        note(matrix, "storage full", door, world.send(door, true, &long)).await;
    }
}
