//! Several providers as one: who is asked for what, who stands in for whom, and until when.

use roost::assistant::{Ask, By, FailureKind, Part, Provider};
use roost::config::{Assistant, Config, ModelRoute, NamedProvider, OpenAi, Price};
use roost::domain::Money;
use roost::local::Scripted;
use roost::local::scripted::{Script, Seen, events, text};
use std::sync::Arc;

use super::{question, said, told};
use crate::chats::{Heard, text as string};
use crate::support::app::TestApp;
use crate::support::provider::{asked, asks};

async fn scripted(plan: impl Fn(&Seen) -> Script + Send + Sync + 'static) -> Scripted {
    Scripted::start(plan).await.expect("a provider")
}

/// A server that asks the first provider, and the second one next.
fn configure(config: &mut Config, first: &Scripted, second: &Scripted) {
    asks(config, &first.url());
    let spare = OpenAi { base_url: second.url(), model: "spare".to_owned(), ..OpenAi::default() };
    config.assistant.providers.insert("second".to_owned(), NamedProvider::OpenAi(spare));
    config.assistant.fallback = vec!["second".to_owned()];
}

fn options(first: &Scripted, second: &Scripted) -> Assistant {
    let mut config = Config::default();
    configure(&mut config, first, second);
    config.check().expect("a configuration");
    config.assistant
}

fn provider(options: &Assistant) -> Arc<dyn Provider> {
    roost::app::assistant::provider(options).expect("a provider").expect("somebody answers")
}

fn by(provider: &str, model: &str) -> Part {
    Part::By(By { provider: provider.into(), model: model.into() })
}

#[tokio::test]
async fn the_next_one_stands_in() {
    let (first, second) =
        (scripted(|_| Script::refusal(500, &[])).await, scripted(|_| Script::chat(&["I can."])).await);
    let app = TestApp::with(|config| configure(config, &first, &second)).await;
    let visitor = app.visitor().await;
    assert_eq!(visitor.asks("who can?").await["response"], "I can.");
    assert_eq!((first.seen().len(), second.seen().len()), (3, 1));
    assert_eq!(asked(&second.seen()[0])["model"], "spare");
    let (parts, failure) = told(&*provider(&options(&first, &second)), question("who can?")).await;
    assert!(failure.is_none());
    assert_eq!(parts[..2], [by("openai", "scripted"), by("second", "spare")]);
}

/// Also for what asking again does not help; and what the last one says is what is told.
#[tokio::test]
async fn the_next_one_is_asked_whatever_is_wrong() {
    for status in [400, 401, 404, 429] {
        let after = [("retry-after", "3600")];
        let first = scripted(move |_| Script::refusal(status, &after)).await;
        let second = scripted(|_| Script::refusal(402, &[])).await;
        let (parts, failure) = told(&*provider(&options(&first, &second)), question("who can?")).await;
        assert_eq!(parts, [by("openai", "scripted"), by("second", "spare")], "{status}");
        assert_eq!(failure.unwrap().kind, FailureKind::Unauthorized);
        assert_eq!((first.seen().len(), second.seen().len()), (1, 1), "{status}");
    }
}

/// After its first token, an answer stays with whoever began it.
#[tokio::test]
async fn nobody_goes_on_from_anothers_half() {
    let first = scripted(|_| Script(vec![events(), text("Half an ")])).await;
    let second = scripted(|_| Script::chat(&["answer"])).await;
    let app = TestApp::with(|config| configure(config, &first, &second)).await;
    let visitor = app.visitor().await;
    let heard = Heard::all(visitor.hears("hello").await).await;
    assert_eq!((heard.text().as_str(), heard.end["error"].is_string()), ("Half an ", true));
    assert_eq!(string(&visitor.lists().await[1]["message"]), "Half an ");
    assert_eq!((first.seen().len(), second.seen().len()), (1, 0));
}

#[tokio::test]
async fn the_echo_may_stand_in() {
    let (first, second) = (scripted(|_| Script::refusal(403, &[])).await, scripted(|_| Script::default()).await);
    let options = Assistant { fallback: vec!["echo".to_owned()], ..options(&first, &second) };
    let (parts, _) = told(&*provider(&options), question("hello")).await;
    assert_eq!(said(&parts), "Echo: hello");
    assert!(second.seen().is_empty());
}

#[tokio::test]
async fn a_name_leads_to_its_model() {
    let (first, second) = (scripted(|_| Script::chat(&["one"])).await, scripted(|_| Script::chat(&["two"])).await);
    let mut options = options(&first, &second);
    for (name, provider, model) in [("acme/large", "openai", "large-1"), ("acme/small", "second", "")] {
        let route = ModelRoute { provider: provider.to_owned(), model: model.to_owned() };
        options.models.insert(name.to_owned(), route);
    }
    options.prices.insert("large-1".to_owned(), Price { prompt: 3.0, completion: 3.0 });
    options.cheaper_model = "acme/small".to_owned();
    let assistant = provider(&options);
    assert_eq!(assistant.models(), ["acme/large", "acme/small"]);
    assert_eq!(assistant.cheaper().as_deref(), Some("acme/small"));
    for (model, want) in [
        (Some("acme/large"), by("openai", "large-1")),
        (Some("acme/small"), by("second", "spare")),
        (Some("acme/unknown"), by("openai", "scripted")),
        (None, by("openai", "scripted")),
    ] {
        let ask = Ask { model: model.map(Into::into), ..question("hello") };
        assert_eq!(told(&*assistant, ask).await.0[0], want, "{model:?}");
    }
    assert_eq!(asked(&first.seen()[0])["model"], "large-1");
    let cost = |model: &str| assistant.estimate(&Ask { model: Some(model.into()), ..question("hello") }).cost;
    assert!(cost("acme/large") > Money::ZERO);
    assert_eq!(cost("acme/small"), Money::ZERO);
}

/// Each in its own connection, and nobody waits for another.
#[tokio::test]
async fn a_hundred_are_answered_at_once() {
    let go = tokio_util::sync::CancellationToken::new();
    let gate = go.clone();
    let plan = move |_: &Seen| Script(vec![events(), roost::local::scripted::Step::Until(gate.clone()), text("x")]);
    let (first, second) = (scripted(plan).await, scripted(|_| Script::default()).await);
    let assistant = provider(&options(&first, &second));
    let asking = (0..100).map(|_| told(&*assistant, question("hello")));
    let opened = async {
        first.until(|seen| seen.len() == 100).await.unwrap();
        go.cancel();
    };
    let (all, ()) = tokio::join!(futures_util::future::join_all(asking), opened);
    assert!(all.iter().all(|(parts, _)| said(parts) == "x"));
}
