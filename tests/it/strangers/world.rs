//! Somebody at every door who has something to lose, and everybody who should not get at it.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use roost::chat::{DeviceRegistration, Draft, HookOwner, InboxFilter, NewLetter, WebhookDraft};
use roost::domain::{
    Ability, Access, Device, DeviceKind, Email, FileId, HookForm, Json, LetterKind, MessageText, NewFile, Platform,
    PushOs, Role, Tag, User,
};
use roost::http::signature;
use roost::store::{Locator, MessageFilter};
use serde_json::{Value, json};

use super::table::{Guard, Route};
use crate::support::app::TestApp;

/// What no stranger may ever be told.
const SECRETS: [&str; 7] = [
    "ana-to-ben-secret",
    "nina-secret",
    "guest-secret",
    "visitor-secret",
    "file-secret",
    "hook-secret",
    "document-secret of Ana",
];

/// What a credential is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// Nothing: whoever comes with it is nobody.
    Nothing,
    /// Nothing here: it is good at another place.
    Elsewhere,
    /// It is somebody else's good one.
    Good,
}

/// How a request says who it comes from.
#[derive(Clone, Debug)]
pub struct Credential {
    pub name: &'static str,
    pub worth: Worth,
    headers: Vec<(&'static str, String)>,
    /// The key and the secret that it is signed with.
    signs: Option<(String, String)>,
}

/// The world of the test.
pub struct World {
    app: TestApp,
    platform: Platform,
    other: Platform,
    ana: Person,
    eve: Person,
    mallory: Person,
    nina: Person,
    ned: Person,
    guest: String,
    session: String,
    /// What stands for names in braces, in paths and bodies.
    names: Vec<(&'static str, String)>,
}

/// A user with a token and a session of every age.
struct Person {
    user: User,
    token: String,
    expired: String,
    revoked: String,
    cookie: String,
    expired_cookie: String,
    revoked_cookie: String,
}

const DAY: Duration = Duration::from_secs(86_400);

async fn person(app: &TestApp, platform: Option<&Platform>, name: &str, is_staff: bool) -> Person {
    let chat = &app.app.chat;
    let email = Email::parse(&format!("{name}@example.test")).unwrap();
    let user = chat.add_user(platform, email, name.to_owned(), None, is_staff, vec![Ability::any()]).await.unwrap();
    let token = async |lifetime| {
        chat.make_token(user.clone(), "test".to_owned(), vec![Ability::any()], lifetime).await.unwrap().token
    };
    let (expired, revoked) = (token(Some(DAY)).await, token(None).await);
    let expired_cookie = chat.open_session(&user).await.unwrap();
    let access = chat.authenticate(&revoked).await.unwrap();
    chat.sign_out(&access, false).await.unwrap();
    app.clock.advance(DAY * 8);
    let (token, cookie) = (token(None).await, chat.open_session(&user).await.unwrap());
    let revoked_cookie = chat.open_session(&user).await.unwrap();
    assert!(chat.close_session(&revoked_cookie).await.unwrap());
    Person { user, token, expired, revoked, cookie, expired_cookie, revoked_cookie }
}

impl Person {
    async fn access(&self, app: &TestApp) -> Access {
        app.app.chat.authenticate(&self.token).await.unwrap()
    }
}

fn draft(text: &str, letter: Option<NewLetter>) -> Draft {
    let text = MessageText::verbatim(text.to_owned());
    Draft { role: Role::User, user_id: None, text, metadata: None, letter, key: None }
}

impl World {
    pub async fn new() -> Self {
        let app = TestApp::with(|config| config.accounts.sign_in_free_tries = 10_000).await;
        let chat = &app.app.chat;
        let (platform, other) = (chat.add_platform("Acme").await.unwrap(), chat.add_platform("Other").await.unwrap());
        // The later a person comes, the older the others' sessions are: who has to stay signed in comes last.
        let mallory = person(&app, Some(&other), "mallory", false).await;
        let ben = person(&app, Some(&platform), "ben", false).await;
        let ana = person(&app, Some(&platform), "ana", false).await;
        let eve = person(&app, Some(&platform), "eve", false).await;
        let ned = person(&app, None, "ned", false).await;
        let nina = person(&app, None, "nina", false).await;
        let mut names = letters(&app, &platform, &ana, &ben).await;
        names.extend(own_chats(&app, &nina).await);
        names.push(("ned", ned.user.id.to_string()));
        let ned_cookie = chat.open_session(&ned.user).await.unwrap();
        let ned = Person { cookie: ned_cookie, ..ned };
        names.extend(endpoint(&app, &platform).await);
        names.push(("knowledge_document", document(&app, &ana).await));
        let (guest, session, more) = anonymous(&app).await;
        names.extend(more);
        Self { app, platform, other, ana, eve, mallory, nina, ned, guest, session, names }
    }

    /// What the server says of itself.
    pub async fn document(&self) -> Value {
        self.app.get("/openapi.json").await.1
    }

    pub fn secrets(&self) -> Vec<String> {
        SECRETS.iter().map(|secret| (*secret).to_owned()).collect()
    }

    /// A fresh token of somebody: a route may have revoked the last one.
    async fn token(&self, person: &Person) -> String {
        let chat = &self.app.app.chat;
        let made = chat.make_token(person.user.clone(), "fresh".to_owned(), vec![Ability::any()], None);
        made.await.unwrap().token
    }

    /// The token of somebody who registered.
    async fn weak_token(&self, person: &Person) -> String {
        let made = self.app.app.chat.make_token(person.user.clone(), "weak".to_owned(), Ability::of_people(), None);
        made.await.unwrap().token
    }

    /// Everybody who is no backend of Acme's.
    async fn other_backends(&self, nobody: Credential, mallory: &str, ned: &str) -> Vec<Credential> {
        let bearer = |name, worth, token: &str| Credential {
            name,
            worth,
            headers: vec![("authorization", format!("Bearer {token}"))],
            signs: None,
        };
        vec![
            nobody,
            bearer("an expired token", Worth::Nothing, &self.ana.expired),
            bearer("a revoked token", Worth::Nothing, &self.ana.revoked),
            bearer("another tenant's user", Worth::Good, mallory),
            bearer("somebody without the ability", Worth::Elsewhere, &self.weak_token(&self.eve).await),
            bearer("somebody of no platform", Worth::Elsewhere, ned),
        ]
    }

    /// Everybody who should not get at what a route shows.
    pub async fn credentials(&self, guard: Guard) -> Vec<Credential> {
        let nobody = Credential { name: "nobody", worth: Worth::Nothing, headers: Vec::new(), signs: None };
        let key = |platform: &Platform| ("x-public-key", platform.key.to_string());
        let bearer = |name, worth, token: &str, platform: Option<&Platform>| Credential {
            name,
            worth,
            headers: [Some(("authorization", format!("Bearer {token}"))), platform.map(key)]
                .into_iter()
                .flatten()
                .collect(),
            signs: None,
        };
        let cookie = |name, worth, cookie: &str| Credential {
            name,
            worth,
            headers: vec![("cookie", format!("neptun-session={cookie}"))],
            signs: None,
        };
        let (acme, other) = (Some(&self.platform), Some(&self.other));
        let (eve, mallory, ned) =
            (self.token(&self.eve).await, self.token(&self.mallory).await, self.token(&self.ned).await);
        let neds_cookie = self.app.app.chat.open_session(&self.ned.user).await.unwrap();
        match guard {
            Guard::Nobody => vec![nobody, bearer("a stranger", Worth::Nothing, &eve, None)],
            Guard::Bearer => vec![
                nobody,
                bearer("an expired token", Worth::Nothing, &self.ana.expired, None),
                bearer("a revoked token", Worth::Nothing, &self.ana.revoked, None),
                bearer("a made-up token", Worth::Nothing, "1|AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", None),
                bearer("somebody who is not staff", Worth::Good, &eve, None),
            ],
            Guard::Platform => vec![
                nobody,
                Credential {
                    name: "a key alone",
                    worth: Worth::Nothing,
                    headers: vec![key(&self.platform)],
                    signs: None,
                },
                bearer("an expired token", Worth::Nothing, &self.ana.expired, acme),
                bearer("a revoked token", Worth::Nothing, &self.ana.revoked, acme),
                bearer("a token without a key", Worth::Elsewhere, &eve, None),
                bearer("a stranger", Worth::Good, &eve, acme),
                bearer("another tenant's user", Worth::Good, &mallory, other),
                bearer("another tenant's user with this tenant's key", Worth::Elsewhere, &mallory, acme),
                bearer("somebody of no platform", Worth::Elsewhere, &ned, acme),
            ],
            Guard::Events => self.other_backends(nobody, &mallory, &ned).await,
            Guard::Knowledge => vec![
                nobody,
                bearer("an expired token", Worth::Nothing, &self.ana.expired, None),
                bearer("a revoked token", Worth::Nothing, &self.ana.revoked, None),
                bearer("another of the tenant", Worth::Good, &eve, None),
                bearer("another tenant's user", Worth::Good, &mallory, None),
                bearer("somebody of no platform", Worth::Good, &ned, None),
                bearer("somebody without the ability", Worth::Elsewhere, &self.weak_token(&self.eve).await, None),
            ],
            Guard::Cookie => vec![
                nobody,
                cookie("an expired session", Worth::Nothing, &self.nina.expired_cookie),
                cookie("a closed session", Worth::Nothing, &self.nina.revoked_cookie),
                cookie("a token as a session", Worth::Nothing, &self.nina.token),
                cookie("a broken session", Worth::Nothing, &format!("{}x", self.nina.cookie)),
                cookie("a stranger", Worth::Good, &neds_cookie),
            ],
            Guard::Signature => {
                [vec![nobody, bearer("a user's token", Worth::Nothing, &eve, acme)], self.backends()].concat()
            }
        }
    }

    /// Backends that are not this app's.
    fn backends(&self) -> Vec<Credential> {
        let signed = |name, key: &Platform, secret: &str| Credential {
            name,
            worth: Worth::Elsewhere,
            headers: Vec::new(),
            signs: Some((key.key.to_string(), secret.to_owned())),
        };
        vec![
            signed("another app's backend", &self.other, &self.other.secret),
            signed("another app's backend with this app's key", &self.platform, &self.other.secret),
            signed("a backend without a secret", &self.platform, ""),
        ]
    }

    /// Whoever the things that a route shows belong to.
    pub fn owner(&self, route: &Route) -> Credential {
        let headers = match route.guard {
            Guard::Cookie => vec![("cookie", format!("neptun-session={}", self.nina.cookie))],
            Guard::Platform => vec![
                ("authorization", format!("Bearer {}", self.ana.token)),
                ("x-public-key", self.platform.key.to_string()),
            ],
            Guard::Events | Guard::Knowledge => vec![("authorization", format!("Bearer {}", self.ana.token))],
            Guard::Nobody | Guard::Bearer | Guard::Signature => Vec::new(),
        };
        Credential { name: "the owner", worth: Worth::Good, headers, signs: None }
    }

    /// Asks a route for the victims' things.
    pub async fn ask(&self, route: &Route, who: &Credential) -> (StatusCode, String) {
        let (method, path) = route.name.split_once(' ').expect("method and path");
        let path = self.named(route, path);
        let query = self.named(route, route.query);
        let mut request = self.app.request(method.parse::<Method>().unwrap(), &format!("{path}{query}"));
        for (name, value) in &who.headers {
            request = request.header(*name, value);
        }
        if route.is_file {
            let form =
                "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nmine\r\n--b--\r\n";
            request = request.header("content-type", "multipart/form-data; boundary=b").body(form);
        }
        let body = self.named(route, route.body);
        if let Some((key, secret)) = &who.signs {
            let (at, line) = (self.app.clock.now().0 / 1_000_000, format!("{method}\n{path}"));
            request = request.query(&signed_query(at, &line, (key, secret), &query, body.as_bytes()));
        }
        if !route.body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = request.send().await.expect("an answer");
        (answer.status(), answer.text().await.unwrap_or_default())
    }

    /// Puts the victims' names where the braces are; a name that a route explains wins.
    fn named(&self, route: &Route, text: &str) -> String {
        let mut named = text.to_owned();
        for (from, to) in route.with {
            named = named.replace(&format!("{{{from}}}"), &format!("{{{to}}}"));
        }
        for (name, value) in &self.names {
            named = named.replace(&format!("{{{name}}}"), value);
        }
        named
    }

    /// Everything that belongs to the victims, as it stands.
    pub async fn everything(&self) -> String {
        let (store, chat) = (&self.app.app.store, &self.app.app.chat);
        let ana = self.ana.access(&self.app).await;
        let inbox = chat.inbox(&ana, InboxFilter { limit: 100, ..InboxFilter::default() }).await.unwrap();
        let nina = self.nina.user.id;
        let numbers = store.chats_of(nina, Vec::new()).await.unwrap();
        let chats = store.chats(nina, numbers.clone()).await.unwrap();
        let hooks = chat.webhooks(HookOwner::Platform(self.platform.id)).await.unwrap();
        let shelf =
            roost::store::knowledge::Shelf { platform_id: Some(self.platform.id), user_id: Some(self.ana.user.id) };
        let filter = roost::chat::DocumentFilter { limit: 100, ..roost::chat::DocumentFilter::default() };
        let documents = store.documents(shelf, filter).await.unwrap().items;
        let mut all = format!("{inbox:?} {chats:?} {hooks:?} {documents:?}");
        let mut logs: Vec<_> = numbers;
        logs.extend(inbox.iter().map(|entry| entry.direct.conversation.id));
        for (kind, key) in [
            (roost::domain::ConversationKind::LiveChat, &self.guest),
            (roost::domain::ConversationKind::AssistantSession, &self.session),
        ] {
            logs.extend(store.conversation(kind, Locator::Name(key)).await.unwrap().map(|found| found.id));
        }
        for id in logs {
            let filter = MessageFilter { limit: 1000, ..MessageFilter::default() };
            all += &format!("{:?} {:?}", store.messages(id, filter).await.unwrap(), store.share_of(id).await.unwrap());
        }
        for user in [self.ana.user.id, nina] {
            all += &format!(
                "{:?} {:?} {:?} {:?}",
                store.user(user).await.unwrap(),
                store.files_of(user, FileId(0), 100).await.unwrap(),
                store.push_devices(user).await.unwrap(),
                store.tokens(user).await.unwrap().len(),
            );
        }
        all
    }
}

/// Ana's document, live: its identifier.
async fn document(app: &TestApp, ana: &Person) -> String {
    let (chat, access) = (&app.app.chat, ana.access(app).await);
    let file = axum::body::Bytes::from_static(b"document-secret of Ana");
    let file = futures_util::stream::iter([Ok::<_, std::io::Error>(file)]);
    let received = chat.receive_document(&access, "secret.txt", Box::pin(file)).await.unwrap();
    let title = Some("document-secret of Ana".to_owned());
    let document = chat.keep_document(&access, received, title).await.unwrap();
    for step in
        [chat.chunk_document(&access, document.uuid).await, chat.vectorize_document(&access, document.uuid).await]
    {
        assert!(matches!(step.unwrap(), roost::chat::Step::Done(..)));
    }
    document.uuid.to_string()
}

/// Acme's backend is told what happens.
async fn endpoint(app: &TestApp, platform: &Platform) -> Vec<(&'static str, String)> {
    let draft = WebhookDraft {
        url: "https://hooks.example.test/hook-secret".to_owned(),
        form: HookForm::Standard,
        kinds: Vec::new(),
        after: None,
    };
    let hook = app.app.chat.add_webhook(Some(platform.id), draft).await.unwrap();
    vec![("webhook", hook.id.to_string()), ("delivery", "1".to_owned())]
}

/// The pairs that sign a request of an app's backend.
fn signed_query(at: i64, line: &str, (key, secret): (&str, &str), query: &str, body: &[u8]) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = vec![
        ("auth_key".to_owned(), key.to_owned()),
        ("auth_timestamp".to_owned(), at.to_string()),
        ("auth_version".to_owned(), "1.0".to_owned()),
    ];
    if !body.is_empty() {
        pairs.push(("body_md5".to_owned(), signature::md5(body)));
    }
    let own = query.trim_start_matches('?').split_once('=').map(|(name, value)| format!("{name}={value}"));
    let signed = pairs.iter().map(|(name, value)| format!("{name}={value}")).chain(own).collect::<Vec<_>>();
    let text = format!("{line}\n{}", signed.join("&"));
    pairs.push(("auth_signature".to_owned(), signature::sign(secret, &[text.as_bytes()])));
    pairs
}

/// Ana has written to Ben.
async fn letters(app: &TestApp, platform: &Platform, ana: &Person, ben: &Person) -> Vec<(&'static str, String)> {
    let chat = &app.app.chat;
    let access = ana.access(app).await;
    let (direct, _) = chat.open_direct(&access, ben.user.uuid, Tag::default()).await.unwrap();
    let file =
        futures_util::stream::iter([Ok::<_, std::io::Error>(axum::body::Bytes::from_static(b"file-secret of Ana"))]);
    let file = chat.upload(ana.user.id, "secret.txt", Box::pin(file)).await.unwrap();
    let letter = NewLetter {
        receiver_id: ben.user.id,
        kind: LetterKind::Text,
        attachments: Json("[]".to_owned()),
        uploads: vec![file.uuid],
        device: Device { kind: DeviceKind::Web, details: Json(r#"{"type":"web","os":"Linux"}"#.to_owned()) },
    };
    let sent = chat.send_letter(&access, &direct, draft("ana-to-ben-secret", Some(letter)), None).await.unwrap();
    chat.react(&access, sent.message.id, "🚲".to_owned(), false).await.unwrap();
    let device = DeviceRegistration { token: "anas-device".to_owned(), os: PushOs::Web, device: None };
    chat.add_push_device(&access, device).await.unwrap();
    vec![
        ("conversation", direct.conversation.uuid.to_string()),
        ("message", format!("msg_{}", sent.message.id)),
        ("attachment", file.uuid.to_string()),
        ("ana", ana.user.uuid.to_string()),
        ("ben", ben.user.uuid.to_string()),
        ("platform", platform.key.to_string()),
        ("room", format!("presence-conversation.{}", direct.conversation.uuid)),
        ("emoji", "%F0%9F%9A%B2".to_owned()),
        ("device", "anas-device".to_owned()),
        ("role", "backoffice".to_owned()),
    ]
}

/// Nina has a chat with a message, a file and a share that wants a password.
async fn own_chats(app: &TestApp, nina: &Person) -> Vec<(&'static str, String)> {
    let chat = &app.app.chat;
    let access = nina.access(app).await;
    let own = chat
        .create_chat(&access, "nina-secret title".to_owned(), "google/gemma-2-27b-it".to_owned(), None)
        .await
        .unwrap();
    let sent = chat.add_messages(&access, own.id, vec![draft("nina-secret", None)]).await.unwrap().remove(0);
    let file = NewFile {
        title: "a.txt".to_owned(),
        text: "file-secret".to_owned(),
        language: "text".to_owned(),
        extension: "txt".to_owned(),
    };
    chat.add_files(&access, own.id, sent.message.id, vec![file]).await.unwrap();
    let share = chat.share_chat(&access, own.id, true, true, Some("the password".to_owned())).await.unwrap().unwrap();
    vec![
        ("nina", nina.user.id.to_string()),
        ("chat", own.id.to_string()),
        ("chat_uuid", own.uuid.to_string()),
        ("response", format!("resp_{}", sent.message.uuid.simple())),
        ("any_model", "default".to_owned()),
        ("chat_message", sent.message.id.to_string()),
        ("share", share.id.to_string()),
        ("link", share.uuid.to_string()),
        ("publisher", "google".to_owned()),
        ("model", "gemma-2-27b-it".to_owned()),
        ("nina_email", nina.user.email.as_str().to_owned()),
    ]
}

/// A website's guest and a landing page's visitor, whose keys nobody else knows.
async fn anonymous(app: &TestApp) -> (String, String, Vec<(&'static str, String)>) {
    let guest = app.guest().await;
    guest.says("guest-secret").await;
    let (_, session) = app.post("/api/chats/sessions/", json!({})).await;
    let id = session["id"].as_str().expect("an id").to_owned();
    let body = json!({"session_id": id, "message": "visitor-secret", "role": "user"});
    assert_eq!(app.post("/api/chats/messages/", body).await.0, StatusCode::CREATED);
    let names = vec![
        ("unknown_key", "0a1b2c3d-0000-4000-8000-000000000000".to_owned()),
        ("guest_number", guest.id.to_string()),
        ("guest_key", guest.key.clone()),
        ("unknown", "0a1b2c3d-0000-4000-8000-000000000001".to_owned()),
    ];
    (guest.key.clone(), id, names)
}
