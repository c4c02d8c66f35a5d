//! The knowledge door: documents that the assistant's answers rest on are uploaded, cut into chunks, made searchable
//! and searched.
//!
//! Routes: `/api/knowledgebase…`, each with and without a slash at its end, with the bearer token of an account that has
//! the ability `knowledge`, which only an operator gives: what is uploaded is told to others. Who is not staff sees their
//! own documents; staff see all of their tenant's. The shapes and wordings are Django REST framework's.

mod context;
mod documents;
mod envelope;
mod files;
mod steps;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request};
use axum::response::Response;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::document::{self, Door};
use crate::chat::SharedChat;
use crate::http::SharedWeb;
use crate::http::multipart::FormLimits;
use crate::limits::Limits;

/// The door's parts.
pub struct Parts {
    /// The use-cases.
    pub chat: SharedChat,
    /// The plumbing.
    pub web: SharedWeb,
    /// The rate limits.
    pub limits: Arc<Limits>,
    /// What an upload may be.
    pub uploads: FormLimits,
}

impl AsRef<SharedWeb> for Parts {
    fn as_ref(&self) -> &SharedWeb {
        &self.web
    }
}

/// The door's shared parts, as handlers get them.
pub type Knowledge = Arc<Parts>;

/// The door's routes and their description.
pub fn router(parts: Knowledge) -> (Router, OpenApi) {
    let routes = [
        routes!(documents::list, documents::upload),
        routes!(documents::read, documents::replace, documents::edit, documents::remove),
        routes!(documents::search),
        routes!(documents::stats),
        routes!(steps::chunk),
        routes!(steps::vectorize),
        routes!(steps::retire),
        routes!(files::chunks),
        routes!(files::download),
        routes!(files::view),
    ];
    let (router, mut api) = routes.into_iter().fold(OpenApiRouter::new(), with_and_without_slash).split_for_parts();
    document::add_errors::<envelope::Failed>(&mut api, &Door { name: "knowledge", bearer: true });
    let router = router.method_not_allowed_fallback(envelope::not_allowed).with_state(parts);
    (router, api)
}

/// Only the path with the slash is documented: it is the original's.
fn with_and_without_slash(
    router: OpenApiRouter<Knowledge>,
    routes: UtoipaMethodRouter<Knowledge>,
) -> OpenApiRouter<Knowledge> {
    let (_, paths, methods) = &routes;
    let bare = paths.paths.keys().map(|path| path.trim_end_matches('/'));
    let router = bare.fold(router, |router, path| router.route(path, methods.clone()));
    router.routes(routes)
}

/// Whether a path is under the door's prefix.
pub fn is_under_prefix(path: &str) -> bool {
    path.strip_prefix("/api/knowledgebase").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a path under the door's prefix that is no route is answered with.
pub async fn not_found(door: &Knowledge, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let Ok(ctx) = context::Ctx::from_request_parts(&mut parts, door).await;
    ctx.run(async { Err(envelope::Failure::NoRoute) }).await
}

/// What a handler answers with.
type Answered = Response;
