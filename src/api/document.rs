//! The OpenAPI document: made from the handlers and wire types, completed with what every route of
//! a door shares, and shown as a page.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// What the routes of a door share.
pub struct Door {
    /// Its name, in front of its schemas' names.
    pub name: &'static str,
    /// Whether its protected routes take a bearer token.
    pub bearer: bool,
}

/// The statuses that any route can answer with, and why.
const ERRORS: &[(&str, &str)] = &[
    ("400", "The input is not valid; every field that is wrong is listed"),
    ("401", "No valid credential"),
    ("403", "Not allowed"),
    ("404", "There is no such thing"),
    ("405", "The route has no such method"),
    ("408", "The body did not arrive in time"),
    ("409", "The Idempotency-Key was used with another body"),
    ("413", "The body is too large"),
    ("415", "The body is neither JSON nor a form"),
    ("429", "Too many requests; see Retry-After"),
    ("500", "A surprise; the trace id finds it in the log"),
    ("503", "The server is busy, going down, or cannot write"),
    ("507", "The server's storage is full; reading still works"),
];

/// Adds the shared errors, in the door's envelope `E`, to each route that does not describe them
/// itself.
pub fn add_errors<E: ToSchema + PartialSchema>(api: &mut OpenApi, door: &Door) {
    let name = format!("{}.Error", door.name);
    let components = api.components.get_or_insert_with(|| ComponentsBuilder::new().build());
    components.schemas.insert(name.clone(), E::schema());
    let mut inner = Vec::new();
    E::schemas(&mut inner);
    components.schemas.extend(inner);
    if door.bearer {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        components.security_schemes.insert("bearer".to_owned(), RefOr::T(scheme));
    }
    for item in api.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete, &mut item.head];
        operations.into_iter().flatten().for_each(|operation| add_to(operation, &name));
    }
}

fn add_to(operation: &mut Operation, schema: &str) {
    for (status, why) in ERRORS {
        let error = || {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
            ResponseBuilder::new().description(*why).content("application/json", content).build()
        };
        operation.responses.responses.entry((*status).to_owned()).or_insert_with(|| RefOr::T(error()));
    }
}

/// The document of all doors.
pub fn document(doors: Vec<OpenApi>) -> OpenApi {
    let info = InfoBuilder::new()
        .title("Roost")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("One chat server, four doors. Each door answers in its own envelope."))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let whole = OpenApiBuilder::new().info(info).build();
    doors.into_iter().fold(whole, OpenApi::merge_from)
}

/// `/openapi.json`, and `/docs`, which shows it with nothing from elsewhere.
pub fn router(api: &OpenApi) -> Router {
    let text = api.to_json().unwrap_or_else(|error| {
        tracing::error!(error = %error, "the OpenAPI document could not be written");
        "{}".to_owned()
    });
    let json = move || {
        let text = text.clone();
        async move { ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response() }
    };
    let config = utoipa_swagger_ui::Config::from("/openapi.json").validator_url("none");
    let page = utoipa_swagger_ui::SwaggerUi::new("/docs").config(config);
    Router::new().route("/openapi.json", get(json)).merge(page)
}
