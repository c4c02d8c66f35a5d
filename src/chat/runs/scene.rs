//! What the assistant is told beside what was said: the operator's words for where that is.

use super::{Asking, Owner};
use crate::assistant::prompt::Scene;
use crate::assistant::{Ask, Line, Provider};
use crate::chat::Chat;
use crate::chat::budgets::Estimate;
use crate::domain::Source;
use crate::error::Result;

/// The most that an answer may take, by the model that is asked for and by the cheaper one.
pub(super) fn estimate(provider: &dyn Provider, ask: &Ask) -> Estimate {
    let cheaper = provider.cheaper().map(|model| provider.estimate(&Ask { model: Some(model), ..ask.clone() }));
    Estimate { asked: provider.estimate(ask), cheaper }
}

impl Chat {
    /// What the tenant's documents say about a question, at the doors where answers rest on them. That they cannot be
    /// searched is no reason not to answer.
    pub(super) async fn sources_of(&self, asking: &Asking, owner: &Owner, question: &str) -> Vec<Source> {
        if !self.rules.knowledge_doors.iter().any(|door| door == asking.door) {
            return Vec::new();
        }
        let found = self.retrieve(owner.tenant, question).await;
        found.unwrap_or_else(|error| {
            tracing::warn!(error = %error, "an answer rests on no documents: they could not be searched");
            Vec::new()
        })
    }

    /// What the assistant is asked, where those lines were said, with `more` that it is told before them.
    pub(super) async fn asked_of(
        &self,
        asking: &Asking,
        owner: &Owner,
        more: Option<String>,
        lines: Vec<Line>,
    ) -> Result<Ask> {
        let prompts = &self.rules.prompts;
        let (mut tenant, mut user) = (None, None);
        if prompts.has_words() {
            if let Some(id) = owner.tenant {
                tenant = self.store.platform(id).await?;
            }
            if let Some(id) = owner.user {
                user = self.store.user(id).await?;
            }
        }
        let key = tenant.as_ref().map(|tenant| tenant.key.to_string());
        let now = self.clock.now().with_micros();
        let (date, rest) = now.split_once('T').unwrap_or((&now, ""));
        let scene = Scene {
            door: asking.door,
            tenant: key.as_deref(),
            tenant_name: tenant.as_ref().map_or("", |tenant| &tenant.name),
            user_name: user.as_ref().map_or("", |user| &user.name),
            language: asking.language.unwrap_or(""),
            date,
            time: rest.get(..5).unwrap_or(""),
        };
        let lines = prompts.lines(&scene, more, lines);
        Ok(Ask { lines, model: asking.model.clone(), tokens_max: asking.tokens_max })
    }
}
