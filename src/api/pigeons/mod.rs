//! The Pigeons door: users of a platform write to each other, as the Pigeons clients know it.
//!
//! Routes: `/api/v1/pigeons/…`, `/broadcasting/auth`, and sign-in under `/api/v1/auth` and `/api/v1/me`.
//! Answers are Laravel's: `{message, data}`, refusals `{message}` or `{message, errors}`. Quirks kept on
//! purpose: a conversation that exists is created with 201 all the same; the device texts are Portuguese
//! in every language; lists come whole unless a page is asked for; registration refuses with 400, all
//! else with 422; `avatar_url` repeats `avatar`; a message in a list has its number twice.

mod accounts;
mod attachments;
mod broadcast;
mod broadcasting;
mod catch_up;
mod context;
mod conversations;
mod devices;
mod envelope;
mod events;
mod health;
mod lists;
mod messages;
pub mod news;
mod presence;
mod reactions;
mod requests;
mod search;
mod sockets_wire;
mod users;
mod users_wire;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request};
use axum::response::Response;
use axum::routing::post;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{OpenApi, Required};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document::{self, Door};
use crate::chat::SharedChat;
use crate::domain::Language;
use crate::http::SharedWeb;
use crate::http::multipart::FormLimits;
use crate::limits::Limits;
use crate::texts::Texts;

pub use broadcast::{Broadcast, Encode};
pub use context::names_platform;

/// The door's parts.
pub struct Parts {
    /// The use-cases.
    pub chat: SharedChat,
    /// The plumbing.
    pub web: SharedWeb,
    /// The rate limits.
    pub limits: Arc<Limits>,
    /// Longest message, in characters.
    pub message_chars_max: usize,
    /// What an upload may be.
    pub uploads: FormLimits,
    /// What the door says.
    pub texts: Texts,
}

impl AsRef<SharedWeb> for Parts {
    fn as_ref(&self) -> &SharedWeb {
        &self.web
    }
}

/// The door's shared parts, as handlers get them.
pub type Pigeons = Arc<Parts>;

/// The languages that the door speaks.
const LANGUAGES: [Language; 3] = [Language::En, Language::Pt, Language::Es];

/// The door's texts.
pub fn texts() -> Texts {
    Texts::new(&[
        (Language::En, include_str!("../../../texts/pigeons.en.ftl")),
        (Language::Pt, include_str!("../../../texts/pigeons.pt-BR.ftl")),
        (Language::Es, include_str!("../../../texts/pigeons.es.ftl")),
    ])
}

/// The door's routes and their description.
pub fn router(parts: Pigeons) -> (Router, OpenApi) {
    let (router, mut api) = OpenApiRouter::new()
        .routes(routes!(conversations::list, conversations::open))
        .routes(routes!(conversations::archive))
        .routes(routes!(conversations::read))
        .routes(routes!(messages::list))
        .routes(routes!(messages::send))
        .routes(routes!(messages::edit, messages::remove))
        .routes(routes!(messages::read))
        .routes(routes!(reactions::add))
        .routes(routes!(reactions::remove))
        .routes(routes!(attachments::upload))
        .routes(routes!(attachments::download))
        .routes(routes!(events::follow))
        .routes(routes!(events::ticket))
        .routes(routes!(search::find))
        .routes(routes!(devices::register))
        .routes(routes!(devices::remove))
        .routes(routes!(devices::count))
        .routes(routes!(users::edit))
        .routes(routes!(users::set_role))
        .routes(routes!(presence::read))
        .routes(routes!(health::read))
        .routes(routes!(accounts::sign_in))
        .routes(routes!(accounts::keep_alive))
        .routes(routes!(accounts::profile))
        .routes(routes!(broadcasting::authorize))
        .routes(routes!(broadcasting::authenticate))
        .split_for_parts();
    document::add_errors::<envelope::Failed>(&mut api, &Door { name: "pigeons", bearer: true });
    add_public_key(&mut api);
    let router = router.method_not_allowed_fallback(envelope::not_allowed).with_state(parts);
    (router, api)
}

/// The routes whose paths another door has too. Only what [`names_platform`] tells apart comes here.
pub fn shared_router(parts: Pigeons) -> Router {
    Router::new()
        .route("/api/v1/auth/register", post(accounts::register))
        .route("/api/v1/auth/logout", post(accounts::sign_out))
        .method_not_allowed_fallback(envelope::not_allowed)
        .with_state(parts)
}

/// Every route reads the platform's key, so it is described once.
fn add_public_key(api: &mut OpenApi) {
    let add = |operation: &mut Operation| {
        let uuid =
            ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
        let key = ParameterBuilder::new()
            .name("X-PUBLIC-KEY")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("The platform's public key; may come as the query `pbk` instead"))
            .schema(Some(Schema::Object(uuid.build())));
        operation.parameters.get_or_insert_default().push(key.build().into());
    };
    for item in api.paths.paths.values_mut() {
        let all = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        all.into_iter().flatten().for_each(add);
    }
}

/// What a path under the door's prefixes that is no route is answered with.
pub async fn not_found(door: &Pigeons, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let Ok(ctx) = context::Ctx::from_request_parts(&mut parts, door).await;
    ctx.failure(&envelope::Failure::NoRoute)
}

/// What a handler answers with.
type Answered = Response;
