//! Tenants, and what somebody is at theirs.

use std::fmt;

use uuid::Uuid;

use super::{Json, PlatformId, Timestamp, UserId};

/// A tenant: a front end with its users. Nothing of one is visible through another.
#[derive(Clone, PartialEq, Eq)]
pub struct Platform {
    /// Its number.
    pub id: PlatformId,
    /// Its public key, which names it in every request.
    pub key: Uuid,
    /// What it is called.
    pub name: String,
    /// Its name in the letters of an address: `a-z`, `0-9` and `-`. Not unique.
    pub slug: String,
    /// Signs what its sockets may subscribe to, and what its own backend asks. Told to operators only.
    pub secret: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Platform {
    /// At most this many characters in a name.
    pub const NAME_CHARS_MAX: usize = 255;

    /// The slug of a name; `platform` for a name without a letter or digit of ASCII.
    pub fn slug_of(name: &str) -> String {
        let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let slug = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-");
        if slug.is_empty() { "platform".to_owned() } else { slug }
    }
}

/// The secret is left out, so that no log or report of a failed test ever holds it.
impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Platform");
        shown.field("id", &self.id).field("key", &self.key).field("name", &self.name).field("slug", &self.slug);
        shown.field("created_at", &self.created_at).finish_non_exhaustive()
    }
}

/// What somebody is on their platform, or wants to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Its number.
    pub id: i64,
    /// The role's name, in the integrator's words.
    pub role: String,
    /// Whether they have it.
    pub status: MembershipStatus,
    /// When it was first named.
    pub created_at: Timestamp,
    /// When its status was last set.
    pub updated_at: Timestamp,
}

impl Membership {
    /// Whether that may be a role's name: 1 to 64 letters and digits of ASCII and `-_.:`.
    pub fn is_role(name: &str) -> bool {
        let legal = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        !name.is_empty() && name.len() <= 64 && name.chars().all(legal)
    }
}

/// How far a membership has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipStatus {
    /// Asked for.
    Requested,
    /// Given.
    Approved,
    /// Refused, or taken away.
    Disapproved,
}

impl MembershipStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Requested, Self::Approved, Self::Disapproved];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Disapproved => "disapproved",
        }
    }

    /// The status of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// Where one of a user's devices is reached by push.
#[derive(Clone, PartialEq, Eq)]
pub struct PushDevice {
    /// Its public identifier; a new one with every registration.
    pub uuid: Uuid,
    /// Whose.
    pub user_id: UserId,
    /// What the push service calls it.
    pub token: String,
    /// Which push service.
    pub os: PushOs,
    /// What the client says of itself.
    pub device: Option<Json>,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// Without the token: who has it can tell the device things.
impl fmt::Debug for PushDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushDevice")
            .field("uuid", &self.uuid)
            .field("user_id", &self.user_id)
            .field("os", &self.os)
            .finish_non_exhaustive()
    }
}

/// What a device runs, and so which push service reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushOs {
    /// Android.
    Android,
    /// iOS and iPadOS.
    Ios,
    /// A browser.
    Web,
}

impl PushOs {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Android, Self::Ios, Self::Web];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Android => "android",
            Self::Ios => "ios",
            Self::Web => "web",
        }
    }

    /// The one of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|os| os.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_made_of_a_names_words() {
        for (name, want) in
            [("Acme Shop", "acme-shop"), (" Ünder  2! ", "nder-2"), ("日本", "platform"), ("a--b", "a-b")]
        {
            assert_eq!(Platform::slug_of(name), want, "{name:?}");
        }
    }

    #[test]
    fn a_platform_does_not_tell_its_secret() {
        let platform = Platform {
            id: PlatformId(1),
            key: Uuid::nil(),
            name: "Acme".to_owned(),
            slug: "acme".to_owned(),
            secret: "hush".to_owned(),
            created_at: Timestamp(0),
        };
        let shown = format!("{platform:?}");
        assert!(shown.contains("Acme") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn a_role_is_a_word() {
        assert!(Membership::is_role("shop.manager") && Membership::is_role(&"a".repeat(64)));
        for wrong in ["", "a b", "é", &"a".repeat(65)] {
            assert!(!Membership::is_role(wrong), "{wrong:?}");
        }
    }
}
