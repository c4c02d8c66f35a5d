//! What everybody may see: that the server is there, and which models there are.

use serde_json::{Map, Value, json};

use super::Answered;
use super::answers::Family;
use super::context::Ctx;
use crate::http::json;

/// See whether the server is there
#[utoipa::path(get, path = "/health", operation_id = "neptun_health", tag = "neptun",
    responses((status = 200, description = "It is, and for how many seconds", body = Object,
        example = json!({"status": "healthy", "timestamp": "2026-02-03T08:00:00.000Z", "uptime": 12.5}))))]
pub async fn health(ctx: Ctx) -> Answered {
    let health = json!({
        "status": "healthy",
        "timestamp": ctx.chat().now().with_millis(),
        "uptime": ctx.door().began.elapsed().as_secs_f64(),
    });
    Ok(json::response(json::bytes(&health)))
}

/// List the models
///
/// `endpoints` are the paths to ask them at, by who offers them.
#[utoipa::path(get, path = "/models", operation_id = "neptun_models", tag = "neptun",
    responses((status = 200, description = "The models", body = Object)))]
pub async fn models(ctx: Ctx) -> Answered {
    let models = &ctx.door().models;
    let mut endpoints: Map<String, Value> =
        Family::ALL.into_iter().map(|family| (family.as_str().to_owned(), json!([]))).collect();
    let mut configurations = Map::new();
    for model in models.iter() {
        let family = Family::of(model);
        let endpoint = family.endpoint(model);
        if let Some(Value::Array(list)) = endpoints.get_mut(family.as_str()) {
            list.push(Value::from(endpoint.as_str()));
        }
        configurations.insert(model.clone(), json!({"provider": family.as_str(), "endpoint": endpoint}));
    }
    let body = json!({"configurations": configurations, "models": **models, "endpoints": endpoints});
    Ok(json::response(json::bytes(&body)))
}
