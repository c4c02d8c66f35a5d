//! Against servers that others wrote: both formats, from a package registry.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use roost::assistant::{FailureKind, Finish, Part};
use roost::config::{Config, ModelRoute, ProviderName};

use super::{question, said, told};
use crate::chats::Heard;
use crate::support::app::TestApp;
use crate::support::outside;

/// A server of the package `mock-ai-api`, ended with its test.
struct Independent {
    url: String,
    child: Child,
}

impl Drop for Independent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Independent {
    /// Starts one; `None` says on standard error that the suite is left out.
    async fn start(application: &'static str) -> Option<Self> {
        let program = outside::program("an independent provider", "SUITE_PROVIDERS")?;
        let mut command = Command::new(program);
        command.args([application, "--host", "127.0.0.1", "--port", "0", "--no-access-log"]);
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdout(Stdio::null()).stderr(Stdio::piped());
        let spawned = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().expect("the provider starts");
            let mut lines = BufReader::new(child.stderr.take().expect("standard error")).lines();
            let url = loop {
                let line = lines.next().expect("the provider says where it listens").expect("text");
                if let Some((_, address)) = line.split_once("running on http://") {
                    break format!("http://{}", address.split(' ').next().unwrap_or(address));
                }
            };
            // Unread, the pipe would fill up and stop it.
            std::thread::spawn(move || lines.for_each(drop));
            Self { url, child }
        });
        Some(spawned.await.expect("the provider starts"))
    }
}

/// Names its scenarios as models of ours.
fn scenarios(config: &mut Config, provider: &str, model: &str, scenarios: &[&str]) {
    config.assistant.provider = ProviderName::Named(provider.to_owned());
    config.assistant.retry_first_ms = 1;
    for scenario in scenarios {
        let route = ModelRoute { provider: provider.to_owned(), model: format!("{model}:{scenario}") };
        config.assistant.models.insert(format!("mock/{scenario}"), route);
    }
}

/// What its scenarios for errors are. One that it does not know, like `mock-repeat`, repeats what was said.
const ERRORS: [(&str, FailureKind); 5] = [
    ("mock/mock-400", FailureKind::Rejected),
    ("mock/mock-401", FailureKind::Unauthorized),
    ("mock/mock-429", FailureKind::RateLimited(None)),
    ("mock/mock-500", FailureKind::Unavailable),
    ("mock/mock-503", FailureKind::Unavailable),
];

async fn answers(config: Config, begins: &str, tools: &str) {
    let assistant = roost::app::assistant::provider(&config.assistant).expect("a provider").expect("somebody");
    for (model, kind) in ERRORS {
        let ask = roost::assistant::Ask { model: Some(model.into()), ..question("hello") };
        let (parts, failure) = told(&*assistant, ask).await;
        assert_eq!((said(&parts).as_str(), failure.expect("a failure").kind), ("", kind), "{model}");
    }
    let ask = roost::assistant::Ask { model: Some(tools.into()), ..question("hello") };
    let (parts, failure) = told(&*assistant, ask).await;
    assert!(failure.is_none() && parts.contains(&Part::Finish(Finish::ToolCalls)), "{failure:?} {parts:?}");
    let (parts, _) = told(&*assistant, question("how are you?")).await;
    let Some(Part::Usage(usage)) = parts.last() else { panic!("{parts:?}") };
    assert!(!usage.is_estimated && usage.completion_tokens > 0 && usage.prompt_tokens > 0, "{usage:?}");

    let app = TestApp::with(|here| here.assistant = config.assistant).await;
    let visitor = app.visitor().await;
    let heard = Heard::all(visitor.hears("xin chào, a sentence of more than eight words, in pieces").await).await;
    assert_eq!(heard.text(), format!("{begins}xin chào, a sentence of more than eight words, in pieces"));
    assert!(heard.chunks.len() > 1, "{:?}", heard.chunks);
    assert_eq!(visitor.lists().await[1]["message"], heard.text());
}

#[tokio::test]
async fn chat_completions_of_another_make() {
    let Some(provider) = Independent::start("app.openai_app:app").await else { return };
    let mut config = Config::default();
    config.assistant.openai.base_url = format!("{}/v1", provider.url);
    config.assistant.openai.model = "gpt-4.1:mock-repeat".to_owned();
    let names = ["mock-400", "mock-401", "mock-429", "mock-500", "mock-503", "mock-tool-stream"];
    scenarios(&mut config, "openai", "gpt-4.1", &names);
    answers(config, "Mock stream for: ", "mock/mock-tool-stream").await;
}

#[tokio::test]
async fn messages_of_another_make() {
    let Some(provider) = Independent::start("app.anthropic_app:app").await else { return };
    let mut config = Config::default();
    config.assistant.anthropic.base_url = provider.url.clone();
    config.assistant.anthropic.model = "claude-sonnet-4-20250514:mock-repeat".to_owned();
    let names = ["mock-400", "mock-401", "mock-429", "mock-500", "mock-503", "mock-tool-stream"];
    scenarios(&mut config, "anthropic", "claude-sonnet-4-20250514", &names);
    answers(config, "Mock Anthropic stream for: ", "mock/mock-tool-stream").await;
}
