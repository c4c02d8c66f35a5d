//! Accounts: who signs in, and what a credential may do.

use uuid::Uuid;

use super::{Platform, PlatformId, Timestamp, TokenId, UserId};

/// A language that some door has texts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Vietnamese.
    Vi,
    /// Japanese.
    Ja,
    /// Chinese.
    Zh,
    /// Portuguese, as in Brazil.
    Pt,
    /// Spanish.
    Es,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 6] = [Self::En, Self::Vi, Self::Ja, Self::Zh, Self::Pt, Self::Es];

    /// Its BCP 47 tag.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Vi => "vi",
            Self::Ja => "ja",
            Self::Zh => "zh",
            Self::Pt => "pt-BR",
            Self::Es => "es",
        }
    }

    /// The language of that tag; the region is ignored (`vi-VN` is `vi`, `pt_PT` is `pt-BR`).
    pub fn parse(tag: &str) -> Option<Self> {
        let primary = primary(tag.trim());
        Self::ALL.into_iter().find(|language| self::primary(language.as_str()).eq_ignore_ascii_case(primary))
    }
}

/// A tag's language, without its region.
fn primary(tag: &str) -> &str {
    tag.split(['-', '_']).next().unwrap_or_default()
}

/// An e-mail address, lower-cased, that has the shape of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// At most this many characters (the guest dialect's limit).
    pub const CHARS_MAX: usize = 255;

    /// Parses an address; `None` when it has not the shape `local@domain`. Only sending a letter
    /// shows whether an address exists, so the check is no stricter than that.
    pub fn parse(raw: &str) -> Option<Self> {
        let raw = raw.trim();
        let (local, domain) = raw.rsplit_once('@')?;
        let legal = |part: &str| {
            !part.is_empty()
                && part.chars().all(|c| !c.is_control() && !c.is_whitespace() && !"<>(),;:\\\"[]".contains(c))
        };
        let ok = legal(local)
            && !local.contains('@')
            && legal(domain)
            && !domain.starts_with(['.', '-'])
            && !domain.ends_with(['.', '-'])
            && !raw.contains("..")
            && raw.chars().count() <= Self::CHARS_MAX;
        ok.then(|| Self(raw.to_lowercase()))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A person with an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Their number.
    pub id: UserId,
    /// Their public identifier.
    pub uuid: Uuid,
    /// The tenant that they belong to; `None`: to none, like staff of the guest door and who chats
    /// with the assistant alone.
    pub platform_id: Option<PlatformId>,
    /// Where one-time codes go; unique on the platform, or among those of none.
    pub email: Email,
    /// How others see them.
    pub name: String,
    /// Telephone number.
    pub phone: Option<String>,
    /// Address of a picture.
    pub avatar: Option<String>,
    /// The language they asked for.
    pub language: Option<Language>,
    /// Answers guests.
    pub is_staff: bool,
    /// May sign in.
    pub is_active: bool,
    /// Needs no proof of the address: it was proved, or the account was made by an operator or at a
    /// door that asks for none.
    pub is_verified: bool,
    /// What a token made by signing in may do.
    pub abilities: Vec<Ability>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// One thing that a token may do; `*` is everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ability(String);

impl Ability {
    /// Everything.
    pub fn any() -> Self {
        Self("*".to_owned())
    }

    /// What people may do who made their account themselves: write to each other (`backoffice`) and
    /// chat with the assistant (`assistant`). `staff` and `chats` open what others wrote, and stay with
    /// those whom an operator gave them; so does `*`, which would hold both and whatever comes.
    pub fn of_people() -> Vec<Self> {
        ["backoffice", "assistant"].map(|name| Self(name.to_owned())).to_vec()
    }

    /// An ability is `*` or up to 64 letters, digits and `-_.:`; `None` otherwise.
    pub fn parse(raw: &str) -> Option<Self> {
        let word = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        let ok = raw == "*" || (!raw.is_empty() && raw.len() <= 64 && raw.chars().all(word));
        ok.then(|| Self(raw.to_owned()))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A user and the token they came with: what an authenticated request acts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Who.
    pub user: User,
    /// With which token.
    pub token_id: TokenId,
    /// What that token may do.
    pub abilities: Vec<Ability>,
}

impl Access {
    /// Whether the token may do `ability`.
    pub fn can(&self, ability: &str) -> bool {
        self.abilities.iter().any(|held| held.as_str() == "*" || held.as_str() == ability)
    }

    /// Whether the caller's account is that platform's.
    pub fn belongs_to(&self, platform: &Platform) -> bool {
        self.user.platform_id == Some(platform.id)
    }

    /// Whether this is a member of staff acting as one.
    pub fn is_staff(&self) -> bool {
        self.user.is_staff && self.can("staff")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_the_shape_of_addresses() {
        for raw in ["a@b", "Lan.Nguyen+x@Example.test", "ü@bücher.example"] {
            assert!(Email::parse(raw).is_some(), "{raw}");
        }
        for raw in ["", "a", "@b", "a@", "a b@c", "a@b@c", "a@.b", "a\n@b", "<a@b>", "a..b@c"] {
            assert!(Email::parse(raw).is_none(), "{raw}");
        }
        assert_eq!(Email::parse("A@B.C").unwrap().as_str(), "a@b.c");
    }

    #[test]
    fn a_region_does_not_hide_a_language() {
        assert_eq!(Language::parse("vi-VN"), Some(Language::Vi));
        assert_eq!(Language::parse("fr"), None);
        for tag in ["pt", "pt-BR", "pt_PT", "PT"] {
            assert_eq!(Language::parse(tag), Some(Language::Pt), "{tag}");
        }
        assert!(Language::ALL.into_iter().all(|language| Language::parse(language.as_str()) == Some(language)));
    }
}
