//! Who answers, as the configuration says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::assistant::prices::Prices;
use crate::assistant::prompt::Prompts;
use crate::assistant::remote::{Line, Remote};
use crate::assistant::several::{Plan, Retries, Several, Target};
use crate::assistant::{By, Echo, Provider};
use crate::config::{Assistant, NamedProvider, ProviderName};
use crate::error::{Error, Result};

/// The assistant's provider; `None` when nobody answers. What it is told is read as well, so that a server with a
/// variable in it that nobody knows does not start.
///
/// # Errors
/// `Internal` with a sentence for the operator.
pub fn provider(options: &Assistant) -> Result<Option<Arc<dyn Provider>>> {
    prompts(options)?;
    if options.provider == ProviderName::None {
        return Ok(None);
    }
    let plan = plan(options).map_err(|error| Error::internal(format!("assistant: {error}")))?;
    Ok(Some(Arc::new(Several::new(plan))))
}

/// What the assistant is told and shown.
///
/// # Errors
/// `Internal` with a sentence for the operator.
pub fn prompts(options: &Assistant) -> Result<Prompts> {
    Prompts::new(options).map_err(Error::internal)
}

fn plan(options: &Assistant) -> Result<Plan, String> {
    let known = known(options)?;
    let target = |name: &str, model: &str| {
        let target = known.get(name).cloned().ok_or_else(|| format!("there is no provider {name:?}"))?;
        let model = if model.is_empty() { target.by.model } else { model.into() };
        Ok::<_, String>(Target { by: By { model, ..target.by }, provider: target.provider })
    };
    let names = std::iter::once(options.provider.as_str()).chain(options.fallback.iter().map(String::as_str));
    let line_up = names.map(|name| target(name, "")).collect::<Result<_, _>>()?;
    let models = options.models.iter();
    let models = models.map(|(name, route)| Ok((name.as_str().into(), target(&route.provider, &route.model)?)));
    Ok(Plan {
        line_up,
        models: models.collect::<Result<_, String>>()?,
        cheaper: (!options.cheaper_model.is_empty()).then(|| options.cheaper_model.as_str().into()),
        prices: Prices::new(options.prices.clone()),
        tokens_max: options.tokens_max,
        retries: Retries {
            times: options.retries,
            first: Duration::from_millis(options.retry_first_ms),
            longest: Duration::from_secs(options.retry_wait_max_s),
        },
    })
}

/// The providers that are used, each with the model of its own.
fn known(options: &Assistant) -> Result<BTreeMap<String, Target>, String> {
    let echo: Arc<dyn Provider> = Arc::new(Echo { pause: Duration::from_millis(options.echo_pause_ms) });
    let mut known = BTreeMap::from([("echo".to_owned(), of("echo", "echo", echo))]);
    let used = options.used();
    if used.is_empty() {
        return Ok(known);
    }
    let line = Line::new(options)?;
    for name in used {
        let Some(options) = options.named(name) else { continue };
        let model = match &options {
            NamedProvider::OpenAi(options) => options.model.clone(),
            NamedProvider::Anthropic(options) => options.model.clone(),
        };
        let remote = Arc::new(Remote::new(name, options, line.clone())?);
        known.insert(name.to_owned(), of(name, &model, remote));
    }
    Ok(known)
}

fn of(name: &str, model: &str, provider: Arc<dyn Provider>) -> Target {
    Target { by: By { provider: name.into(), model: model.into() }, provider }
}
