//! What answers may cost a day, and what becomes of those that would cost more.
#![expect(missing_docs, reason = "roost.example.toml documents each option, and a test compares the two")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::section::{section, words};

section!(Budgets {
    tenant_tokens: u64 = 0,
    tenant_money: f64 = 0.0,
    user_tokens: u64 = 0,
    user_money: f64 = 0.0,
    session_tokens: u64 = 0,
    session_money: f64 = 0.0,
    address_tokens: u64 = 0,
    address_money: f64 = 0.0,
    currency: String = String::new(),
    over: OverBudget = OverBudget::Answer,
    answer: String = "I have answered as much as I may today. Please come back tomorrow.".to_owned(),
    keep_days: u64 = 30,
    tenants: BTreeMap<String, TenantBudget> = BTreeMap::new(),
});

section!(TenantBudget {
    tenant_tokens: Option<u64> = None,
    tenant_money: Option<f64> = None,
    user_tokens: Option<u64> = None,
    user_money: Option<f64> = None,
    session_tokens: Option<u64> = None,
    session_money: Option<f64> = None,
    address_tokens: Option<u64> = None,
    address_money: Option<f64> = None,
});

words!(OverBudget { Cheaper, Answer, Person, Refuse });

/// The largest limit, in units of the currency: what comes near the largest number of its millionths would be rounded.
const MONEY_MAX: f64 = 1e9;

impl Budgets {
    /// The limits of one tenant: its own ones, and those of everybody for what it does not name.
    pub fn of(&self, tenant: &TenantBudget) -> Self {
        Self {
            tenant_tokens: tenant.tenant_tokens.unwrap_or(self.tenant_tokens),
            tenant_money: tenant.tenant_money.unwrap_or(self.tenant_money),
            user_tokens: tenant.user_tokens.unwrap_or(self.user_tokens),
            user_money: tenant.user_money.unwrap_or(self.user_money),
            session_tokens: tenant.session_tokens.unwrap_or(self.session_tokens),
            session_money: tenant.session_money.unwrap_or(self.session_money),
            address_tokens: tenant.address_tokens.unwrap_or(self.address_tokens),
            address_money: tenant.address_money.unwrap_or(self.address_money),
            ..self.clone()
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        self.check_money("")?;
        for (name, tenant) in &self.tenants {
            self.of(tenant).check_money(&format!("tenants.{name}."))?;
        }
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric();
        let is_word = self.currency.len() <= 16 && self.currency.bytes().all(is_letter);
        if !is_word || self.currency.starts_with(|first: char| first.is_ascii_digit()) {
            return Err("budgets.currency must be a word like EUR, of at most 16 letters and digits".to_owned());
        }
        if self.over != OverBudget::Refuse && self.answer.trim().is_empty() {
            return Err("budgets.answer must say something unless budgets.over is \"refuse\"".to_owned());
        }
        Ok(())
    }

    fn check_money(&self, of: &str) -> Result<(), String> {
        let all = [
            ("tenant_money", self.tenant_money),
            ("user_money", self.user_money),
            ("session_money", self.session_money),
            ("address_money", self.address_money),
        ];
        let wrong = all.iter().find(|(_, money)| !(0.0..=MONEY_MAX).contains(money));
        wrong.map_or(Ok(()), |(name, _)| Err(format!("budgets.{of}{name} must be from 0 to 1000000000")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_names_only_what_is_different_for_it() {
        let budgets: Budgets =
            toml::from_str("tenant_tokens = 10\nuser_money = 2\n[tenants.acme]\ntenant_tokens = 99\nuser_money = 0\n")
                .unwrap();
        budgets.check().unwrap();
        let acme = budgets.of(&budgets.tenants["acme"]);
        assert_eq!((acme.tenant_tokens, acme.user_money, acme.over), (99, 0.0, OverBudget::Answer));
        assert_eq!((budgets.tenant_tokens, budgets.user_money), (10, 2.0));
    }

    #[test]
    fn what_cannot_be_is_said() {
        for (text, named) in [
            ("user_money = -1", "budgets.user_money"),
            ("address_money = nan", "budgets.address_money"),
            ("[tenants.acme]\nsession_money = inf", "budgets.tenants.acme.session_money"),
            ("currency = \"a b\"", "budgets.currency"),
            ("currency = \"1a\"", "budgets.currency"),
            ("answer = \" \"", "budgets.answer"),
        ] {
            let budgets: Budgets = toml::from_str(text).unwrap();
            let said = budgets.check().expect_err(text);
            assert!(said.contains(named), "{text}: {said}");
        }
        let silent: Budgets = toml::from_str("answer = \"\"\nover = \"refuse\"").unwrap();
        silent.check().unwrap();
    }
}
