//! Nobody makes the server post into the private network: not by address, by name, or by redirect.

use reqwest::Method;
use roost::chat::WebhookDraft;
use roost::domain::{EventId, HookForm};
use serde_json::json;

use super::{Backend, HOOKS, server};
use crate::support::app::TestApp;
use crate::support::receiver::{Answer, Receiver};

#[tokio::test]
async fn an_address_of_the_private_network_is_refused_unless_allowed() {
    let app = TestApp::start().await;
    let (ana, _, _) = app.pair().await;
    let backend = Backend::of(&ana).await;
    for url in [
        "http://127.0.0.1:9/",
        "http://localhost/",
        "http://[::1]/",
        "https://10.0.0.1/",
        "http://169.254.169.254/latest",
        "http://[::ffff:127.0.0.1]/",
        "http://192.168.1.1:8080/a",
    ] {
        let (status, body) = backend.send(Method::POST, HOOKS, &json!({"url": url})).await;
        assert_eq!(status.as_u16(), 422, "{url}: {body}");
        assert!(body["errors"]["url"][0].as_str().unwrap().contains("private network"), "{body}");
    }
    assert_eq!(backend.shown(HOOKS).await, json!([]));
}

/// A name may lead elsewhere each time it is looked up: what counts is the address that is connected to.
#[tokio::test]
async fn a_name_that_leads_into_the_private_network_is_not_connected_to() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    // Names to the resolver, and no addresses to a parser of them.
    let names = ["127.1", "2130706433", "0x7f000001"];
    for name in names {
        let draft = WebhookDraft {
            url: format!("http://{name}:{}/", receiver.port),
            form: HookForm::Standard,
            kinds: Vec::new(),
            after: Some(EventId::START),
        };
        app.app.chat.add_webhook(None, draft).await.expect("nothing shows where it leads");
    }
    app.guest().await.says("hello").await;
    assert_eq!(app.crank().await, names.len());
    assert_eq!(receiver.heard().len(), 0);
    for id in 1..=3 {
        let filter = roost::chat::DeliveryFilter { state: None, before: None, limit: 10 };
        let owner = roost::chat::HookOwner::Anybody;
        let told = app.app.chat.deliveries(owner, roost::domain::WebhookId(id), filter).await.unwrap();
        let error = told[0].last_error.as_deref();
        assert_eq!(error, Some("the address leads into a private network"), "{id}");
    }
}

/// The same names do lead there: otherwise the test above would show nothing.
#[tokio::test]
async fn such_a_name_is_connected_to_where_it_is_allowed() {
    let app = server(|_| {}).await;
    let receiver = Receiver::start().await;
    let draft = WebhookDraft {
        url: format!("http://127.1:{}/", receiver.port),
        form: HookForm::Standard,
        kinds: Vec::new(),
        after: Some(EventId::START),
    };
    app.app.chat.add_webhook(None, draft).await.unwrap();
    app.guest().await.says("hello").await;
    app.crank().await;
    assert_eq!(receiver.texts(), ["hello"]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let app = server(|_| {}).await;
    let (receiver, inside) = (Receiver::start().await, Receiver::start().await);
    let hook = app.operators(&receiver).await;
    let to = inside.url.clone();
    receiver.answers(move |_| Answer::Redirect(to.clone()));
    app.guest().await.says("hello").await;
    app.crank().await;
    assert_eq!((receiver.heard().len(), inside.heard().len()), (1, 0));
    assert!(app.hook(hook.id.0).await.failing_since.is_some(), "and it is no success");
}
