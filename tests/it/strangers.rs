//! Nobody reads, lists, edits, reacts to, marks, downloads or searches what is not theirs.
//!
//! Every route of `/openapi.json` is asked for what belongs to somebody: without a credential, with an
//! expired and a revoked one, as another user of the same platform, and as a user of another platform.
//! The table says of each route what a stranger may get there; a route that is not in it fails the
//! suite, and so does an entry without a route.

mod table;
mod world;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use table::{Guard, Route, Stranger, table};
use world::{Credential, World, Worth};

/// Every operation of the document: method and path.
fn operations(document: &Value) -> Vec<(Method, String)> {
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("operations").keys();
        methods.filter_map(move |method| {
            let method: Method = method.to_uppercase().parse().ok()?;
            ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()).then(|| (method, path.clone()))
        })
    });
    operations.collect()
}

#[tokio::test]
async fn every_route_is_in_the_table() {
    let world = World::new().await;
    let document = world.document().await;
    let there: Vec<_> = operations(&document).into_iter().map(|(method, path)| format!("{method} {path}")).collect();
    let table = table();
    let missing: Vec<_> = there.iter().filter(|name| !table.iter().any(|route| route.name == name.as_str())).collect();
    assert!(missing.is_empty(), "say in tests/it/strangers/table.rs who may use these: {missing:#?}");
    let stale: Vec<_> =
        table.iter().map(|route| route.name).filter(|name| !there.iter().any(|one| one == name)).collect();
    assert!(stale.is_empty(), "these are no routes any more: {stale:#?}");
    assert!(there.len() > 85, "where are the doors? {}", there.len());
}

/// A refused request must not have done anything, and nobody's words may be in any answer.
#[tokio::test]
async fn nobody_gets_at_what_is_not_theirs() {
    let world = World::new().await;
    let before = world.everything().await;
    let mut findings = Vec::new();
    for route in table() {
        for credential in world.credentials(route.guard).await {
            let (status, body) = world.ask(&route, &credential).await;
            let what = format!("{} as {}: {status} {body}", route.name, credential.name);
            if !expected(&route, &credential, status) {
                findings.push(format!("not refused as it should be: {what}"));
            }
            if let Some(secret) = world.secrets().iter().find(|secret| body.contains(secret.as_str())) {
                findings.push(format!("tells {secret:?}: {what}"));
            }
            if world.everything().await != before {
                findings.push(format!("changed what is not theirs: {what}"));
                break;
            }
        }
    }
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

/// Whether a route may answer this credential like that.
fn expected(route: &Route, credential: &Credential, status: StatusCode) -> bool {
    match (route.guard, credential.worth) {
        (Guard::Nobody, _) => return !status.is_server_error(),
        (_, Worth::Nothing) => return status == StatusCode::UNAUTHORIZED,
        (_, Worth::Elsewhere) => return matches!(status.as_u16(), 401 | 403),
        (_, Worth::Good) => {}
    }
    match route.stranger {
        Stranger::Refused => matches!(status.as_u16(), 401 | 403 | 404),
        // Theirs and not the victim's is what the answer may be about.
        Stranger::Own => status.is_success(),
        Stranger::Open => !status.is_server_error(),
    }
}

/// The victims themselves get at all of it: otherwise the other tests would show nothing.
#[tokio::test]
async fn whoever_owns_it_gets_at_it() {
    let world = World::new().await;
    for route in table().into_iter().filter(|route| route.shows) {
        let (status, body) = world.ask(&route, &world.owner(&route)).await;
        assert!(status.is_success(), "{}: {status} {body}", route.name);
        let told = world.secrets().iter().any(|secret| body.contains(secret.as_str()));
        assert!(told, "{} shows its owner nothing that a stranger could be told: {body}", route.name);
    }
}
