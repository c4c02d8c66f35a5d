//! The OpenAPI document: made from the handlers and wire types, completed with what every route of
//! a door shares, and shown as a page.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response, Schema,
};
use utoipa::{PartialSchema, ToSchema};

use super::idempotency;

/// What the routes of a door share.
pub struct Door {
    /// Its name, in front of its schemas' names.
    pub name: &'static str,
    /// Whether its protected routes take a bearer token.
    pub bearer: bool,
}

/// A refusal that routes share: its status, why, and which routes can answer with it.
type Shared = (&'static str, &'static str, fn(&Operation) -> bool);

/// What routes refuse with unless they say otherwise. A route that refuses where nobody would
/// expect it names the status itself; the suite in `tests/it/schema.rs` finds what is missing.
const ERRORS: &[Shared] = &[
    ("400", "The input is not valid; every field that is wrong is listed", takes_input),
    ("401", "No valid credential", wants_credential),
    ("403", "Not allowed", wants_credential),
    ("404", "There is no such thing", names_something),
    ("408", "The body did not arrive in time", has_body),
    ("409", "The Idempotency-Key was used with another body", has_idempotency_key),
    ("413", "The body is too large", has_body),
    ("415", "The body is neither JSON nor a form", has_body),
    ("429", "Too many requests; see Retry-After", |_| true),
    ("500", "A surprise; the trace id finds it in the log", |_| true),
    ("503", "The server is busy, going down, or cannot write", |_| true),
];

fn has_body(operation: &Operation) -> bool {
    operation.request_body.is_some()
}

fn wants_credential(operation: &Operation) -> bool {
    operation.security.is_some()
}

fn takes_input(operation: &Operation) -> bool {
    has_body(operation) || has_parameter(operation, |parameter| parameter.parameter_in != ParameterIn::Path)
}

fn names_something(operation: &Operation) -> bool {
    has_parameter(operation, |parameter| parameter.parameter_in == ParameterIn::Path)
}

fn has_idempotency_key(operation: &Operation) -> bool {
    has_parameter(operation, |parameter| parameter.name == idempotency::HEADER)
}

fn has_parameter(operation: &Operation, is_it: impl Fn(&Parameter) -> bool) -> bool {
    operation.parameters.iter().flatten().any(|parameter| matches!(parameter, RefOr::T(it) if is_it(it)))
}

/// Adds to each route what all of them share: the refusals, in the door's envelope `E`, and the
/// headers. What a route says of itself stays; a refusal that it names gets the envelope.
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
        item.get.iter_mut().for_each(|operation| add_to(operation, &name));
        let writing = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in writing.into_iter().flatten() {
            let full = ResponseBuilder::new().description("The server's storage is full; reading still works").build();
            operation.responses.responses.entry("507".to_owned()).or_insert(RefOr::T(full));
            add_to(operation, &name);
        }
    }
}

fn add_to(operation: &mut Operation, schema: &str) {
    for (status, why, applies) in ERRORS {
        if applies(operation) {
            let refusal = || RefOr::T(ResponseBuilder::new().description(*why).build());
            operation.responses.responses.entry((*status).to_owned()).or_insert_with(refusal);
        }
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if status.starts_with(['4', '5']) && response.content.is_empty() {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
            response.content.insert("application/json".to_owned(), RefOr::T(content));
        }
        add_headers(status, response);
    }
}

fn add_headers(status: &str, response: &mut Response) {
    let mut add = |name: &str, schema: RefOr<Schema>, why: &str| {
        let header = HeaderBuilder::new().schema(Some(schema)).description(Some(why)).build();
        response.headers.entry(name.to_owned()).or_insert(RefOr::T(header));
    };
    add("X-Request-Id", String::schema(), "The request's id, the client's own if it sent one");
    if matches!(status, "429" | "503") {
        add("Retry-After", u64::schema(), "Seconds to wait before the next try");
    }
}

/// The document of all doors.
pub fn document(doors: Vec<OpenApi>) -> OpenApi {
    let info = InfoBuilder::new()
        .title("Roost")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("One chat server, many doors. Each door answers in its own envelope."))
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
