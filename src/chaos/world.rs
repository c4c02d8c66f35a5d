//! Who is there: accounts, conversations, and what every client of a run shares.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use super::doors::{Chats, Door, Guests, Neptun, Pigeons, Place, neptun, pigeons};
use super::history::History;
use super::http::{Ask, Http, Told};
use super::servers::{Servers, held};
use crate::app;
use crate::clock::Clock;
use crate::domain::{Ability, Email};
use crate::error::{Error, Result};
use crate::http::signature;

/// Users of the platform, and conversations at each of the other doors.
const USERS: usize = 4;
const SESSIONS: usize = 4;
const OWNERS: usize = 2;

/// How long one request may take before it is made again.
const ANSWER: Duration = Duration::from_secs(10);

/// Accounts that only the command line makes: they are there before the first node starts.
pub struct Accounts {
    users: Vec<pigeons::User>,
    key: String,
    secret: String,
    staff: String,
}

impl Accounts {
    /// Makes them in the store, as `roost platform add` and its like do.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub async fn make(servers: &Servers) -> Result<Self> {
        let chat = app::open_chat(&servers.config, Clock::system()).await?;
        let platform = chat.add_platform("Chaos").await?;
        let mut users = Vec::new();
        for number in 0..USERS {
            let abilities: Vec<_> = Ability::parse("backoffice").into_iter().collect();
            let email = address(&format!("user{number}"))?;
            let user = chat.add_user(Some(&platform), email, format!("User {number}"), None, false, abilities.clone());
            let made = chat.make_token(user.await?, "chaos".to_owned(), abilities, None).await?;
            users.push(pigeons::User { uuid: made.user.uuid.to_string(), token: made.token });
        }
        let all = vec![Ability::any()];
        let staff = chat.add_user(None, address("staff")?, "Staff".to_owned(), None, true, all.clone()).await?;
        let staff = chat.make_token(staff, "chaos".to_owned(), all, None).await?.token;
        Ok(Self { users, key: platform.key.to_string(), secret: platform.secret.clone(), staff })
    }
}

fn address(name: &str) -> Result<Email> {
    Email::parse(&format!("{name}@chaos.test")).ok_or_else(|| Error::internal("an address is refused"))
}

/// What every client of a run shares.
pub struct World {
    /// Speaks to servers.
    pub http: Http,
    /// The load balancer.
    pub url: String,
    /// The doors, each with its conversations.
    pub doors: Vec<Arc<dyn Door>>,
    /// The platform's users, for sockets.
    pub pigeons: Arc<Pigeons>,
    /// The platform's secret, for presence.
    pub secret: String,
    /// What happened.
    pub history: Arc<History>,
    /// Whether nobody writes any more.
    pub is_closing: AtomicBool,
    /// Once the writing is over: the last message of each conversation, by its number. Who has them all is done.
    pub last: Mutex<HashMap<usize, String>>,
    /// What was counted.
    pub counts: Mutex<std::collections::BTreeMap<String, u64>>,
    /// Numbers for idempotency keys.
    keys: AtomicU64,
}

impl World {
    /// Opens conversations at every door.
    ///
    /// # Errors
    /// When a server refuses what it has to allow.
    pub async fn open(servers: &Servers, accounts: Accounts) -> Result<Self> {
        let setup = Setup { http: Http::new(), url: servers.url() };
        let mut count = 0;
        let mut number = || {
            count += 1;
            count - 1
        };
        let guests = Arc::new(setup.guests(accounts.staff, &mut number).await?);
        let chats = Arc::new(setup.chats(&mut number).await?);
        let neptun = Arc::new(setup.neptun(&mut number).await?);
        let pigeons = Arc::new(setup.pigeons(accounts.users, accounts.key, &mut number).await?);
        let doors: Vec<Arc<dyn Door>> = vec![guests, chats, neptun, Arc::<Pigeons>::clone(&pigeons)];
        Ok(Self {
            http: setup.http,
            url: setup.url,
            doors,
            pigeons,
            secret: accounts.secret,
            history: Arc::new(History::new()),
            is_closing: AtomicBool::new(false),
            last: Mutex::default(),
            counts: Mutex::default(),
            keys: AtomicU64::new(0),
        })
    }

    /// How many conversations there are.
    pub fn conversations(&self) -> usize {
        self.doors.iter().map(|door| door.places().len()).sum()
    }

    /// A key that no request had before.
    pub fn fresh_key(&self) -> String {
        format!("chaos-{}", self.keys.fetch_add(1, Ordering::Relaxed))
    }

    /// Counts one more of these.
    pub fn count(&self, what: impl Into<String>) {
        *held(&self.counts).entry(what.into()).or_default() += 1;
    }

    /// Whether nobody writes any more.
    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed)
    }

    /// A signed request to the platform's HTTP API.
    pub fn api(&self, clock: &Clock, path: &str) -> Ask {
        let path = format!("/apps/{}/{path}", self.pigeons.key);
        let at = clock.now().0 / 1_000_000;
        let query = format!("auth_key={}&auth_timestamp={at}&auth_version=1.0", self.pigeons.key);
        let signature = signature::sign(&self.secret, &[format!("GET\n{path}\n{query}").as_bytes()]);
        Ask::get(format!("{path}?{query}&auth_signature={signature}"))
    }
}

/// Makes what a run needs, over HTTP.
struct Setup {
    http: Http,
    url: String,
}

impl Setup {
    /// Asks until it is answered; the servers may just be starting.
    async fn must(&self, ask: Ask) -> Result<Told> {
        let mut last = String::from("no answer");
        for _ in 0..50 {
            match self.http.call(&self.url, &ask, ANSWER).await {
                Some(told) if told.status < 300 => return Ok(told),
                Some(told) => last = format!("{} {}", told.status, told.body),
                None => {}
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(Error::internal(format!("{} {} is answered with {last}", ask.method, ask.path)))
    }

    async fn guests(&self, token: String, number: &mut impl FnMut() -> usize) -> Result<Guests> {
        let mut guests = Guests { places: Vec::new(), token };
        for _ in 0..SESSIONS {
            let told = self.must(Ask::post("/api/v1/chat/guest/session", json!({"guest_name": "Lan"}))).await?;
            let key = text(&told.body["data"]["session"]["session_key"])?;
            self.must(guests.as_staff(Ask::post(format!("/api/v1/chat/admin/{key}/assign"), json!({})))).await?;
            guests.places.push(Place { number: number(), key, sides: [0, 1] });
        }
        Ok(guests)
    }

    async fn chats(&self, number: &mut impl FnMut() -> usize) -> Result<Chats> {
        let mut chats = Chats { places: Vec::new() };
        for _ in 0..SESSIONS {
            let told = self.must(Ask::post("/api/chats/sessions/", json!({}))).await?;
            chats.places.push(Place { number: number(), key: text(&told.body["id"])?, sides: [0, 0] });
        }
        Ok(chats)
    }

    async fn neptun(&self, number: &mut impl FnMut() -> usize) -> Result<Neptun> {
        let mut neptun = Neptun { places: Vec::new(), owners: Vec::new() };
        for owner in 0..OWNERS {
            let body = json!({"email": format!("owner{owner}@chaos.test"), "password": "Correct-Horse-9"});
            let told = self.must(Ask::post("/api/auth/sign-up", body)).await?;
            let id = told.body["user"]["id"].as_i64().ok_or_else(|| Error::internal("no number of a user"))?;
            let cookie = told.cookie.ok_or_else(|| Error::internal("no cookie"))?;
            for name in ["One", "Two"] {
                let body = json!({"name": name, "model": "google/gemma-2-27b-it"});
                let ask = Ask::post(format!("/api/users/{id}/chats"), body).with("cookie", cookie.clone());
                let told = self.must(ask).await?;
                let key = told.body["chat"]["id"].to_string();
                neptun.places.push(Place { number: number(), key, sides: [owner, owner] });
            }
            neptun.owners.push(neptun::Owner { id, cookie });
        }
        Ok(neptun)
    }

    async fn pigeons(
        &self,
        users: Vec<pigeons::User>,
        key: String,
        number: &mut impl FnMut() -> usize,
    ) -> Result<Pigeons> {
        let mut pigeons = Pigeons { places: Vec::new(), key, users };
        for one in 0..USERS {
            for other in one + 1..USERS {
                let body = json!({"participant_uuid": pigeons.users[other].uuid});
                let ask = Ask::post("/api/v1/pigeons/chat/conversations", body).by(Method::POST);
                let told = self.must(pigeons.as_user(one, ask)).await?;
                let key = text(&told.body["data"]["uuid"])?;
                pigeons.places.push(Place { number: number(), key, sides: [one, other] });
            }
        }
        Ok(pigeons)
    }
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| Error::internal(format!("{value} is no text")))
}
