//! Budgets as the configuration wants them, and what has to be done about them every now and then.

use std::time::Duration;

use crate::chat::{Allowances, BudgetRules, SharedChat, WhenOver};
use crate::config::{Budgets, OverBudget};

/// How often reservations are looked at that may have to lapse, and old days that may be forgotten.
const EVERY: Duration = Duration::from_secs(60);

pub(super) fn rules(options: &Budgets) -> BudgetRules {
    let tenants = options.tenants.iter().map(|(name, own)| (name.clone(), allowances(&options.of(own))));
    BudgetRules {
        everybody: allowances(options),
        tenants: tenants.collect(),
        over: match options.over {
            OverBudget::Cheaper => WhenOver::Cheaper,
            OverBudget::Answer => WhenOver::Answer,
            OverBudget::Person => WhenOver::Person,
            OverBudget::Refuse => WhenOver::Refuse,
        },
        answer: options.answer.as_str().into(),
        currency: options.currency.as_str().into(),
        keep_days: options.keep_days,
    }
}

fn allowances(options: &Budgets) -> Allowances {
    Allowances {
        tenant: Allowances::one(options.tenant_tokens, options.tenant_money),
        user: Allowances::one(options.user_tokens, options.user_money),
        session: Allowances::one(options.session_tokens, options.session_money),
        address: Allowances::one(options.address_tokens, options.address_money),
    }
}

/// Goes on doing it, for ever.
pub(super) async fn tend(chat: SharedChat) {
    loop {
        if let Err(error) = chat.tend_budgets().await {
            tracing::warn!(error = %error, "what dead nodes put aside of budgets is not settled yet");
        }
        tokio::time::sleep(EVERY).await;
    }
}
