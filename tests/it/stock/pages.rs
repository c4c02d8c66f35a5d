//! The clients' own files for browsers, in Debian's Chromium, on a page of another origin: what a page may
//! ask and read across origins only a browser decides.

use std::path::Path;

use serde_json::{Value, json};

use super::Room;
use crate::support::app::TestApp;
use crate::support::browser::{Browser, Site, installed};
use crate::support::script::node;

/// 32 bytes that only the platform's backend and its pages know.
const MASTER: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=";

/// The page with the packages' files in it.
fn page(world: &Value) -> String {
    let read = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stock").join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let page = read("page.html").replace("WORLD", &world.to_string());
    let page = page.replace("PUSHER-JS", &read("node_modules/pusher-js/dist/web/pusher-with-encryption.min.js"));
    page.replace("LARAVEL-ECHO", &read("node_modules/laravel-echo/dist/echo.iife.js"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_elsewhere_follows_with_the_clients_files_for_browsers() {
    let Some(program) = installed() else { return };
    let app = TestApp::start().await;
    let room = Room::open(&app).await;
    let world = room.world(&json!({"master": MASTER}));
    // Says that the suite is left out when the packages are not there.
    let Some(publishing) = node("publish.mjs", &world) else { return };
    publishing.result().await;

    let mut site = Site::start(page(&world)).await;
    let _browser = Browser::open(&program, &site.url);
    assert_eq!(site.sees().await, json!(["here", ["Ana"]]));
    assert_eq!(site.sees().await, json!(["denied", 403]), "a page reads why it was refused");
    assert_eq!(site.sees().await, json!(["signed in", room.ana.uuid()]));
    assert_eq!(site.sees().await, json!(["ready", true]));
    let published = node("publish.mjs", &world).expect("it was there a moment ago").result().await;
    assert_eq!(published, json!({}));
    assert_eq!(site.sees().await, json!(["order", {"number": 7, "note": "olá"}]));
    room.rui.says(&room.conversation, &room.ana, "hello").await;
    assert_eq!(site.sees().await, json!(["message", "hello"]));
}
