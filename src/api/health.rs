//! Whether the server lives, takes requests, and what it counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use crate::chat::SharedChat;
use crate::http::SharedWeb;
use crate::telemetry::{Distribution, Figures};

/// What the health routes look at.
pub struct Parts {
    /// The use-cases.
    pub chat: SharedChat,
    /// The plumbing.
    pub web: SharedWeb,
    /// Set when the server goes down.
    pub draining: Arc<AtomicBool>,
    /// Figures from parts that no door sees.
    pub figures: Box<dyn Fn() -> (Figures, Distribution) + Send + Sync>,
}

/// `/livez`, `/readyz`, `/up`, `/metrics`.
pub fn router(parts: Arc<Parts>) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/up", get(live))
        .route("/metrics", get(metrics))
        .with_state(parts)
}

/// The process answers.
async fn live() -> &'static str {
    "ok\n"
}

/// The server takes requests: it is not going down, and the store can be written.
async fn ready(State(parts): State<Arc<Parts>>) -> Response {
    if parts.draining.load(Ordering::Relaxed) {
        return not_ready("draining");
    }
    match parts.chat.check_store().await {
        Ok(()) => axum::Json(json!({"ready": true})).into_response(),
        Err(error) => {
            tracing::warn!(error = %error, "not ready");
            not_ready("the store cannot be written")
        }
    }
}

fn not_ready(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, axum::Json(json!({"ready": false, "reason": why}))).into_response()
}

async fn metrics(State(parts): State<Arc<Parts>>) -> Response {
    let (figures, batches) = (parts.figures)();
    let text = parts.web.metrics.render(figures, &batches);
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
