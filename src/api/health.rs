//! Whether the server lives, takes requests, and what it counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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
    /// When the store was last proved, and how that went.
    pub proved: tokio::sync::Mutex<Option<(Instant, bool)>>,
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
    if is_writable(&parts).await {
        axum::Json(json!({"ready": true})).into_response()
    } else {
        not_ready("the store cannot be written")
    }
}

/// The proof is a write, and anybody may ask for it: all who ask within a second share one.
async fn is_writable(parts: &Parts) -> bool {
    const GOOD_FOR: Duration = Duration::from_secs(1);
    let mut proved = parts.proved.lock().await;
    if let Some((at, outcome)) = *proved
        && at.elapsed() < GOOD_FOR
    {
        return outcome;
    }
    let checked = parts.chat.check_store().await;
    if let Err(error) = &checked {
        tracing::warn!(error = %error, "not ready");
    }
    *proved = Some((Instant::now(), checked.is_ok()));
    checked.is_ok()
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
