//! The Pigeons dialect's accounts and roles. The doc comments are the public documentation.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::wire::instant;
use crate::domain::{Language, Membership, Platform, User};

/// A picture.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Avatar)]
pub struct Avatar {
    /// Its address.
    url: String,
    /// What it is for: `avatar`.
    #[schema(example = "avatar")]
    usage: &'static str,
}

/// A platform.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Platform)]
pub struct PlatformResource {
    /// Its public key.
    uuid: Uuid,
    /// Its name.
    name: String,
    /// Its public key.
    public_key: Uuid,
}

/// What a role allows.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Permission)]
pub struct Permission {
    /// About what.
    #[schema(example = "backoffice")]
    pub subject: &'static str,
    /// What may be done.
    #[schema(example = "all")]
    pub action: &'static str,
}

/// What somebody is on their platform.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Role)]
pub struct Role {
    /// Its number; 0 for what staff are without being named.
    pub id: i64,
    /// Where.
    pub platform: PlatformResource,
    /// Its name.
    #[schema(example = "backoffice")]
    pub name: String,
    /// Its name in the request's language.
    #[schema(example = "Back office")]
    pub localized_name: String,
    /// What it allows.
    pub permissions: Vec<Permission>,
}

impl From<&Platform> for PlatformResource {
    fn from(platform: &Platform) -> Self {
        Self { uuid: platform.key, name: platform.name.clone(), public_key: platform.key }
    }
}

/// An account, as its owner sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Account)]
pub struct Account {
    /// Who.
    uuid: Uuid,
    /// The name of their own channel: `private-users.{echo_uuid}`.
    echo_uuid: Uuid,
    /// Their name.
    name: String,
    /// Their address.
    email: String,
    /// Their telephone number.
    #[schema(required = true)]
    phone: Option<String>,
    /// Their picture.
    #[schema(required = true)]
    avatar: Option<Avatar>,
    /// The language they asked for.
    #[schema(required = true, example = "pt-BR")]
    language: Option<&'static str>,
    /// Null: there is nothing to pay here.
    #[schema(value_type = Option<String>)]
    currency: (),
    /// What they are on their platform.
    roles: Vec<Role>,
}

impl Account {
    /// The account with those roles.
    pub fn new(user: &User, roles: Vec<Role>) -> Self {
        let picture = |url: &String| Avatar { url: url.clone(), usage: "avatar" };
        Self {
            uuid: user.uuid,
            echo_uuid: user.uuid,
            name: user.name.clone(),
            email: user.email.as_str().to_owned(),
            phone: user.phone.clone(),
            avatar: user.avatar.as_ref().map(picture),
            language: user.language.map(Language::as_str),
            currency: (),
            roles,
        }
    }
}

/// What signing in gives.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::SignedIn)]
pub struct SignedIn {
    /// A sentence for people.
    pub message: String,
    /// The bearer token; null when none was wanted.
    #[schema(required = true, example = "12|abc")]
    pub token: Option<String>,
    /// Whose it is.
    pub data: SignedInUser,
    /// True for an account that was just made; left out otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub recently_created: Option<bool>,
}

/// Who signed in.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::SignedInUser)]
pub struct SignedInUser {
    /// The account.
    pub user: Account,
}

/// How far a user's membership in a role has come.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Membership)]
pub struct MembershipResource {
    /// Its number.
    id: i64,
    /// Whose.
    user_uuid: Uuid,
    /// Which role.
    role: String,
    /// `approved`, `disapproved` or `requested`.
    #[schema(example = "approved")]
    status: &'static str,
    /// When it was first named.
    created_at: String,
    /// When its status was last set.
    updated_at: String,
}

impl MembershipResource {
    /// The membership of that user.
    pub fn new(membership: &Membership, user: Uuid) -> Self {
        Self {
            id: membership.id,
            user_uuid: user,
            role: membership.role.clone(),
            status: membership.status.as_str(),
            created_at: instant(membership.created_at),
            updated_at: instant(membership.updated_at),
        }
    }
}
