//! The models that may be asked.

use super::Answered;
use super::asked::DEFAULT_MODEL;
use super::context::{Ctx, Segment};
use super::envelope::Failure;
use super::wire::{Model, Models};
use crate::http::json;

/// List the models
#[utoipa::path(get, path = "/v1/models", operation_id = "openai_list_models", tag = "openai",
    responses((status = 200, description = "The models; `default` stands for what the operator has chosen", body = Models)),
    security(("bearer" = [])))]
pub async fn list(ctx: Ctx) -> Answered {
    let named = ctx.door().models.iter().map(String::as_str);
    let data = std::iter::once(DEFAULT_MODEL).chain(named).map(shown).collect();
    Ok(json::response(json::bytes(&Models { object: "list", data })))
}

/// Read a model
#[utoipa::path(get, path = "/v1/models/{model}", operation_id = "openai_read_model", tag = "openai",
    params(("model" = String, Path, description = "Its name", example = "default")),
    responses((status = 200, description = "The model", body = Model)),
    security(("bearer" = [])))]
pub async fn read(ctx: Ctx, Segment(name): Segment) -> Answered {
    one(&ctx, name)
}

/// The same, where the slash in a name was not escaped.
pub async fn read_unescaped(ctx: Ctx, Segment((publisher, name)): Segment<(String, String)>) -> Answered {
    one(&ctx, format!("{publisher}/{name}"))
}

fn one(ctx: &Ctx, name: String) -> Answered {
    if name != DEFAULT_MODEL && !ctx.door().models.contains(&name) {
        return Err(Failure::NoModel(name));
    }
    Ok(json::response(json::bytes(&shown(&name))))
}

fn shown(name: &str) -> Model {
    let owner = name.split_once('/').map_or("roost", |(publisher, _)| publisher);
    Model { id: name.to_owned(), object: "model", created: 0, owned_by: owner.to_owned() }
}
