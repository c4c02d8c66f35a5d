//! The wired system: the only file that knows every part.

mod abroad;
pub mod assistant;
mod beat;
mod budgets;
mod doors;
mod figures;
mod knowledge;
mod outbox;
mod rules;
mod store;
mod visitors;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::api::{
    chats, document, guest, health, hooks as hooks_door, knowledge as knowledge_door, neptun, pigeons, pusher,
};
use crate::chat::{Chat, Resume, Rules, SharedChat};
use crate::clock::Clock;
use crate::config::{Config, ObjectStoreName};
use crate::domain::{Timestamp, Witness};
use crate::error::{Error, Result};
use crate::http::multipart::FormLimits;
use crate::http::{SharedWeb, Web, frame, websocket};
use crate::jobs::Outbox;
use crate::limits::{Limit, Limits};
use crate::mail::{self, Mailer};
use crate::objects::{self, Bucket, Objects};
use crate::realtime::sockets::{SocketRules, Sockets};
use crate::realtime::{Broker, Hub, Realtime};
use crate::redis::RedisOptions;
use crate::store::sqlite::DataDir;
use crate::store::{SharedStore, SqliteStore};

use self::abroad::Line;
use self::beat::Beat;
use self::rules::rules;
pub use self::store::{Opened, is_shared};
use crate::telemetry;

/// A system that is ready to serve.
pub struct App {
    /// The use-cases.
    pub chat: SharedChat,
    /// The store behind them.
    pub store: SharedStore,
    /// The same with what the contract does not say of it.
    pub engine: Opened,
    /// The plumbing.
    pub web: SharedWeb,
    /// WebSocket connections.
    pub sockets: Arc<Sockets>,
    /// Every route.
    pub router: Router,
    /// Tells endpoints elsewhere what happened.
    pub outbox: Arc<Outbox>,
    /// What goes on beside requests.
    pub background: Background,
    /// Set when the server goes down; `/readyz` then says so.
    pub draining: Arc<AtomicBool>,
}

/// What goes on beside requests, for as long as the system is there.
#[derive(Debug, Default)]
pub struct Background {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Background {
    /// Goes on with that until the system goes.
    fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// Ends all of it, and resolves when it has ended.
    pub async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl App {
    /// Opens the store and wires everything to it. Blocks while the store is opened.
    ///
    /// # Errors
    /// `Internal` with a sentence for the operator.
    pub async fn open(config: &Config, clock: Clock) -> Result<Self> {
        let realtime = realtime(config, &clock)?;
        let line = Line::open(config)?;
        let opened = store::open(config, &clock, &realtime, line.as_ref().map(Line::bus)).await?;
        let store = opened.store();
        let web = Web::new(config.http.clone(), clock.clone());
        let sockets = Arc::clone(&realtime.sockets);
        let shared = line.as_ref().map(Line::shared);
        let limits = Arc::new(limits(&config.limits, shared));
        let provider = assistant::provider(&config.assistant)?;
        let objects = objects(config)?;
        let mailer = mailer(config)?;
        let rules = Rules { sign_in_shared: shared.cloned(), ..rules(config)? };
        let chat = Chat::new(store.clone(), realtime.clone(), clock.clone(), provider, mailer, objects, rules).await?;
        let background = Background::default();
        match &opened {
            Opened::Embedded(_) => clear_up(config, &chat).await?,
            Opened::Shared(_, relay) => {
                relay.start(store.clone(), &background.tasks, &background.stop);
                let name = config.listen.to_string();
                let beat = Beat::begin(&config.cluster, &name, (&chat, &store), shared.cloned()).await?;
                background.run(beat.go_on());
            }
        }
        background.run(budgets::tend(Arc::clone(&chat)));
        background.run(Arc::clone(&chat).make_documents_live());
        let outbox = outbox::outbox(config, &store, &chat, clock.clone())?;
        let draining = Arc::new(AtomicBool::new(false));
        let health = Arc::new(health::Parts {
            chat: Arc::clone(&chat),
            web: Arc::clone(&web),
            draining: Arc::clone(&draining),
            proved: tokio::sync::Mutex::default(),
            figures: figures::figures(
                opened.clone(),
                realtime.clone(),
                Arc::clone(&limits),
                Arc::clone(&chat),
                &outbox,
            ),
        });
        if let Some(line) = &line {
            let relay = opened.relay();
            line.join(config, (&clock, &realtime), &chat, (&outbox, &background), relay);
        }
        let broadcast = pigeons::Broadcast::start(
            &chat,
            pusher::frame::event,
            web.recheck(),
            background.tasks.clone(),
            &background.stop,
        );
        let shared = Shared { chat: &chat, web: &web, limits: &limits, outbox: &outbox };
        let router = router(config, shared, health, Arc::new(broadcast));
        Ok(Self { chat, store, engine: opened, web, sockets, router, outbox, background, draining })
    }

    /// Makes `/readyz` say that no new requests are wanted.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.web.streams.close();
    }
}

/// What hears of commits.
///
/// # Errors
/// `Internal` with a sentence for the operator.
fn realtime(config: &Config, clock: &Clock) -> Result<Realtime> {
    let heads = &config.heads;
    let hub = Arc::new(Hub::new(heads.conversations_max, heads.events_max, heads.bytes_max));
    let broker = Arc::new(Broker::new(heads.follower_events_max));
    Ok(Realtime { hub, broker, sockets: sockets(config, clock.clone())? })
}

/// The use-cases without a server around them: what the command line works through, also while a
/// server runs over the same store. Only one whose schema would change it has for itself meanwhile: an
/// older server would go on with a store that it does not know.
///
/// # Errors
/// As [`App::open`], and when the store has to be upgraded while a server uses it.
pub async fn open_chat(config: &Config, clock: Clock) -> Result<SharedChat> {
    // Who serves nobody needs not a thread more than has to be.
    let mut idle = config.clone();
    idle.sockets.fanout_threads = 1;
    let realtime = realtime(&idle, &clock)?;
    if store::is_shared(config) {
        let opened = store::open(&idle, &clock, &realtime, None).await?;
        return bare_chat(config, clock, realtime, opened.store()).await;
    }
    let dir = DataDir::prepare(&config.data)?;
    let is_behind = SqliteStore::is_behind(&dir, store::sqlite_options(config).migrations)?;
    let held = if is_behind { Some(dir.lock().map_err(must_upgrade)?) } else { None };
    let opened = store::open(&idle, &clock, &realtime, None).await?;
    drop(held);
    bare_chat(config, clock, realtime, opened.store()).await
}

async fn bare_chat(config: &Config, clock: Clock, realtime: Realtime, store: SharedStore) -> Result<SharedChat> {
    Chat::new(store, realtime, clock, None, Mailer::Off, objects(config)?, rules(config)?).await
}

fn must_upgrade(error: Error) -> Error {
    Error::internal(format!("the store is not of this roost's version, and to upgrade it nobody may use it: {error}"))
}

fn sockets(config: &Config, clock: Clock) -> Result<Arc<Sockets>> {
    let draw = Box::new(move || clock.secret());
    Sockets::start(SocketRules::new(&config.sockets, websocket::frame::close, draw)).map_err(Error::internal)
}

fn mailer(config: &Config) -> Result<Mailer> {
    if !config.mail.smtp_url.is_empty() {
        return Mailer::smtp(&config.mail.smtp_url, &config.mail.from);
    }
    Ok(if config.is_development() { Mailer::Log } else { Mailer::Off })
}

/// The folder of uploaded files, when they lie in one.
fn objects_folder(config: &Config) -> Option<std::path::PathBuf> {
    (config.attachments.store == ObjectStoreName::Folder).then(|| config.data.join("objects"))
}

fn objects(config: &Config) -> Result<Objects> {
    if let Some(folder) = objects_folder(config) {
        return Objects::folder(&folder, config.store.durability == crate::config::Durability::Full);
    }
    let options = config.attachments.clone();
    Objects::s3(&Bucket {
        name: options.s3_bucket,
        endpoint: options.s3_endpoint,
        region: options.s3_region,
        access_key: options.s3_access_key,
        secret_key: options.s3_secret_key,
    })
}

/// Ends and removes what the last stop cut off. No other server runs over this folder: whoever began an answer or an
/// upload is not there any more.
async fn clear_up(config: &Config, chat: &SharedChat) -> Result<()> {
    clear_remnants(config);
    let interrupted = chat.close_interrupted_runs(Timestamp(i64::MAX)).await?;
    if interrupted > 0 {
        tracing::info!(interrupted, "answers that the last stop cut off were closed; their text is kept");
    }
    chat.lapse_budgets(Timestamp::MAX).await?;
    Ok(())
}

/// Removes what a crash left of uploads. That it cannot is no reason not to serve.
fn clear_remnants(config: &Config) {
    let Some(folder) = objects_folder(config) else { return };
    match objects::clear_remnants(&folder) {
        Ok(0) => {}
        Ok(cleared) => tracing::info!(cleared, "uploads that the last stop cut off were removed"),
        Err(error) => tracing::warn!(error = %error, "what cut-off uploads left could not be removed"),
    }
}

/// Checks those options that only the parts they are for can read.
///
/// # Errors
/// `Internal` with a sentence for the operator.
pub fn check(config: &Config) -> Result<()> {
    telemetry::filter(&config.log).map_err(Error::internal)?;
    redis_options(config)?;
    assistant::provider(&config.assistant)?;
    if !config.mail.from.is_empty() {
        mail::sender(&config.mail.from)?;
    }
    if config.attachments.store == ObjectStoreName::S3 {
        objects(config)?;
    }
    knowledge::rules(&config.knowledge)?;
    mailer(config).map(|_| ())
}

/// How Redis is reached, if there is one.
///
/// # Errors
/// `Internal` with a sentence for the operator.
pub fn redis_options(config: &Config) -> Result<Option<RedisOptions>> {
    let redis = &config.redis;
    let wait = Duration::from_millis(redis.wait_ms);
    let options = || RedisOptions::new(&redis.url, &redis.prefix, wait).map_err(Error::internal);
    (!redis.url.is_empty()).then(options).transpose()
}

fn limits(config: &crate::config::Limits, shared: Option<&crate::limits::Shared>) -> Limits {
    let limit = |name, per_minute| {
        let per_minute = NonZeroU32::new(per_minute).filter(|_| config.enabled)?;
        let limit = Limit::new(per_minute, config.keys_max);
        Some(match shared {
            Some(shared) => limit.shared(name, shared.clone()),
            None => limit,
        })
    };
    Limits {
        send: limit("send", config.guest_send_per_minute),
        poll: limit("poll", config.guest_poll_per_minute),
        address: limit("address", config.address_per_minute),
        staff: limit("staff", config.staff_per_minute),
        typing: limit("typing", config.typing_per_minute),
        auth: limit("auth", config.auth_per_minute),
        chats: limit("chats", config.chats_per_minute),
        pigeons: limit("pigeons", config.pigeons_per_minute),
        neptun: limit("neptun", config.neptun_per_minute),
        openai: limit("openai", config.openai_per_minute),
        aisdk: limit("aisdk", config.aisdk_per_minute),
        events: limit("events", config.events_per_minute),
        knowledge: limit("knowledge", config.knowledge_per_minute),
    }
}

/// What every door stands on.
#[derive(Clone, Copy)]
struct Shared<'a> {
    chat: &'a SharedChat,
    web: &'a SharedWeb,
    limits: &'a Arc<Limits>,
    outbox: &'a Arc<Outbox>,
}

fn router(config: &Config, shared: Shared<'_>, health: Arc<health::Parts>, resume: Arc<dyn Resume>) -> Router {
    let Shared { chat, web, limits, .. } = shared;
    let (guest, chats) = (visitors::guest(config, shared), visitors::chats(config, shared));
    let pigeons = Arc::new(pigeons::Parts {
        chat: Arc::clone(chat),
        web: Arc::clone(web),
        limits: Arc::clone(limits),
        message_chars_max: config.pigeons.message_chars_max,
        uploads: FormLimits {
            file_bytes_max: config.attachments.bytes_max,
            time: Duration::from_secs(config.attachments.upload_timeout_s),
        },
        texts: pigeons::texts(),
    });
    let neptun = neptun_door(config, chat, web, limits);
    let hooks =
        Arc::new(hooks_door::Parts { chat: Arc::clone(chat), web: Arc::clone(web), limits: Arc::clone(limits) });
    let knowledge = knowledge::door(config, chat, web, limits);
    let (guest_routes, guest_shared, guest_api) = guest::router(Arc::clone(&guest));
    let (chats_routes, chats_api) = chats::router(Arc::clone(&chats));
    let (pigeons_routes, pigeons_api) = pigeons::router(Arc::clone(&pigeons));
    let (neptun_routes, neptun_api) = neptun::router(&neptun);
    let (assistants, assistant_routes, assistant_api) = doors::assistants(config, shared);
    let (hooks_routes, hooks_api) = hooks_door::router(Arc::clone(&hooks));
    let (knowledge_routes, knowledge_api) = knowledge_door::router(Arc::clone(&knowledge));
    let (pusher_routes, pusher_api) = pusher::router(pusher_door(config, shared, resume));
    let apis = [guest_api, chats_api, pigeons_api, neptun_api, assistant_api, hooks_api, pusher_api, knowledge_api];
    let api = document::document(apis.into());
    let pigeons_shared = pigeons::shared_router(Arc::clone(&pigeons));
    let by_dialect_shared = guest_shared.layer(axum::middleware::from_fn_with_state(pigeons_shared, by_dialect));
    let doors = guest_routes
        .merge(by_dialect_shared)
        .merge(chats_routes)
        .merge(pigeons_routes)
        .merge(neptun_routes)
        .merge(assistant_routes)
        .merge(hooks_routes)
        .merge(pusher_routes)
        .merge(knowledge_routes)
        .fallback_service(axum::routing::any(no_route).with_state(NoRoute {
            guest,
            chats,
            pigeons,
            neptun,
            assistants,
            hooks,
            knowledge,
        }));
    Router::new()
        .merge(health::router(health))
        .merge(document::router(&api))
        .merge(doors)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(web), frame::frame))
}

/// Two doors have these paths: who names a platform is answered by the Pigeons door.
async fn by_dialect(State(pigeons): State<Router>, request: Request, next: Next) -> Response {
    if !pigeons::names_platform(&request) {
        return next.run(request).await;
    }
    let Ok(answered) = pigeons.oneshot(request).await;
    answered
}

/// The doors, to answer for paths under their prefixes that are no routes.
#[derive(Clone)]
struct NoRoute {
    guest: guest::Guest,
    chats: chats::Chats,
    pigeons: pigeons::Pigeons,
    neptun: neptun::Neptun,
    assistants: doors::Assistants,
    hooks: hooks_door::Hooks,
    knowledge: knowledge_door::Knowledge,
}

fn neptun_door(config: &Config, chat: &SharedChat, web: &SharedWeb, limits: &Arc<Limits>) -> neptun::Neptun {
    Arc::new(neptun::Parts {
        chat: Arc::clone(chat),
        web: Arc::clone(web),
        limits: Arc::clone(limits),
        models: config.neptun.models.as_slice().into(),
        message_chars_max: config.neptun.message_chars_max,
        file_chars_max: config.neptun.file_chars_max,
        batch_max: config.neptun.batch_max,
        body_bytes_max: config.neptun.body_bytes_max,
        sign_in_lifetime: Duration::from_secs(config.accounts.session_hours * 3600),
        began: std::time::Instant::now(),
    })
}

fn pusher_door(config: &Config, shared: Shared<'_>, resume: Arc<dyn Resume>) -> pusher::Pusher {
    let witness: Arc<dyn Witness> = shared.outbox.clone();
    let options = &config.pusher;
    Arc::new(pusher::Parts {
        chat: Arc::clone(shared.chat),
        web: Arc::clone(shared.web),
        rules: Arc::new(pusher::session::Rules {
            client_events: options.client_events,
            client_events_per_second: options.client_events_per_second,
            channels_max: config.sockets.channels_per_socket_max,
        }),
        limits: websocket::Limits::new(&config.sockets),
        activity_timeout_s: options.activity_timeout_s,
        counts: options.subscription_count,
        origins: config.sockets.origins.clone(),
        resume,
        happenings: pusher::Happenings::new(witness),
        ping: pusher::frame::ping(),
    })
}

async fn no_route(State(doors): State<NoRoute>, request: Request) -> Response {
    use axum::extract::FromRequestParts;
    let path = request.uri().path().to_owned();
    if path == "/api/chats" || path.starts_with("/api/chats/") {
        return chats::not_found(&doors.chats, request).await;
    }
    let is_pigeons =
        |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if is_pigeons("/api/v1/pigeons") || is_pigeons("/broadcasting") {
        return pigeons::not_found(&doors.pigeons, request).await;
    }
    if neptun::is_under_prefix(&path) {
        return neptun::not_found(&doors.neptun, request).await;
    }
    if doors::is_under_prefix(&path) {
        return doors::not_found(&doors.assistants, &path, request).await;
    }
    if hooks_door::is_under_prefix(&path) {
        return hooks_door::not_found(&doors.hooks, request).await;
    }
    if knowledge_door::is_under_prefix(&path) {
        return knowledge_door::not_found(&doors.knowledge, request).await;
    }
    if pusher::is_under_prefix(&path) {
        return pusher::not_found().await;
    }
    let (mut parts, _) = request.into_parts();
    if path == "/api/v1" || path.starts_with("/api/v1/") {
        let Ok(ctx) = guest::Ctx::from_request_parts(&mut parts, &doors.guest).await;
        return guest::not_found(State(doors.guest), ctx).await.into_response();
    }
    (axum::http::StatusCode::NOT_FOUND, "not found\n").into_response()
}
