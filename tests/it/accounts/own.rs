//! What people do to their own account, and what staff of their platform decide.

use roost::chat::{AccountEdit, DeviceRegistration};
use roost::domain::{Ability, Access, Membership, MembershipStatus, Platform, PushOs};
use roost::error::{Error, FieldError, Refusal, Rule, Subject};
use uuid::Uuid;

use super::{Desk, PASSWORD, email};

impl Desk {
    async fn staff_of(&self, platform: Option<&Platform>, name: &str, abilities: &[&str]) -> Access {
        let abilities = abilities.iter().map(|name| Ability::parse(name).unwrap()).collect();
        let password = Some(PASSWORD.to_owned());
        self.chat().add_user(platform, email(name), name.to_owned(), password, true, abilities).await.unwrap();
        self.signs_in(platform, name, PASSWORD).await.unwrap()
    }
}

#[tokio::test]
async fn a_new_password_signs_out_everywhere_else() {
    let desk = Desk::new().await;
    let lan = desk.person(None, "lan").await;
    let (here, there) = (desk.chat().open_session(&lan).await.unwrap(), desk.chat().open_session(&lan).await.unwrap());
    let access = desk.chat().authenticate_session(&here).await.unwrap();
    let edit = AccountEdit {
        name: Some("Lan Anh".to_owned()),
        password: Some("a new password".to_owned()),
        ..AccountEdit::default()
    };
    let edited = desk.chat().edit_account(&access, edit).await.unwrap();
    assert_eq!((edited.name.as_str(), &edited.email), ("Lan Anh", &lan.email));
    desk.chat().authenticate_session(&here).await.unwrap();
    assert!(desk.chat().authenticate_session(&there).await.is_err());
    assert!(matches!(desk.signs_in(None, "lan", PASSWORD).await, Err(Error::Unauthenticated)));
    desk.signs_in(None, "lan", "a new password").await.unwrap();
}

#[tokio::test]
async fn an_address_is_changed_to_one_that_is_free() {
    let desk = Desk::new().await;
    desk.person(None, "lan").await;
    desk.person(None, "minh").await;
    let access = desk.signs_in(None, "lan", PASSWORD).await.unwrap();
    let to = |name: &str| AccountEdit { email: Some(email(name)), ..AccountEdit::default() };
    let taken = desk.chat().edit_account(&access, to("minh")).await;
    let Err(Error::Invalid(fields)) = taken else { panic!("{taken:?}") };
    assert_eq!(fields, [FieldError { field: "email".into(), rule: Rule::Unique }]);
    desk.chat().edit_account(&access, to("anh")).await.unwrap();
    assert!(desk.signs_in(None, "lan", PASSWORD).await.is_err());
    desk.signs_in(None, "anh", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn who_gives_an_account_up_is_gone_and_may_come_again() {
    let desk = Desk::new().await;
    let acme = desk.platform("Acme").await;
    let lan = desk.person(Some(&acme), "lan").await;
    let (session, access) =
        (desk.chat().open_session(&lan).await.unwrap(), desk.signs_in(Some(&acme), "lan", PASSWORD).await.unwrap());
    desk.chat().delete_account(&access).await.unwrap();
    assert!(desk.chat().authenticate_session(&session).await.is_err());
    assert!(matches!(desk.signs_in(Some(&acme), "lan", PASSWORD).await, Err(Error::Unauthenticated)));
    let left = desk.chat().user_by_uuid(&acme, lan.uuid).await.unwrap().expect("the row stays");
    assert_eq!((left.name.as_str(), left.is_active), ("Deleted user", false));
    assert_eq!(desk.chat().user(lan.id).await.unwrap(), Some(left));
    assert_ne!(desk.person(Some(&acme), "lan").await.id, lan.id);
}

#[tokio::test]
async fn only_staff_of_a_platform_say_who_is_what_there() {
    let desk = Desk::new().await;
    let (acme, other) = (desk.platform("Acme").await, desk.platform("Other").await);
    let lan = desk.person(Some(&acme), "lan").await;
    let boss = desk.staff_of(Some(&acme), "boss", &["*"]).await;
    let set = async |access: &Access, platform: &Platform, user: Uuid, role: &str| {
        desk.chat().set_membership(access, platform, user, role.to_owned(), MembershipStatus::Approved).await
    };
    let given = set(&boss, &acme, lan.uuid, "manager").await.unwrap();
    assert_eq!((given.role.as_str(), given.status), ("manager", MembershipStatus::Approved));
    assert_eq!(desk.chat().memberships(lan.id).await.unwrap(), [given]);

    let own = desk.signs_in(Some(&acme), "lan", PASSWORD).await.unwrap();
    let foreign = desk.staff_of(Some(&other), "foreign", &["*"]).await;
    let of_none = desk.staff_of(None, "none", &["*"]).await;
    let unable = desk.staff_of(Some(&acme), "unable", &["backoffice"]).await;
    for access in [own, foreign.clone(), of_none, unable] {
        let refused = set(&access, &acme, lan.uuid, "owner").await;
        assert!(matches!(refused, Err(Error::Forbidden(Refusal::NotStaff))), "{access:?}: {refused:?}");
    }
    let unseen: Result<Membership, Error> = set(&foreign, &other, lan.uuid, "owner").await;
    assert!(matches!(unseen, Err(Error::NotFound(Subject::User))), "{unseen:?}");
    let wrong = set(&boss, &acme, lan.uuid, "a b").await;
    assert!(matches!(wrong, Err(Error::Invalid(_))), "{wrong:?}");
    desk.chat().set_active(lan.id, false).await.unwrap();
    let off = set(&boss, &acme, lan.uuid, "owner").await;
    assert!(matches!(off, Err(Error::NotFound(Subject::User))), "{off:?}");
    assert_eq!(desk.chat().memberships(lan.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn one_registers_ones_own_devices_only() {
    let desk = Desk::new().await;
    desk.person(None, "lan").await;
    desk.person(None, "minh").await;
    let (lan, minh) =
        (desk.signs_in(None, "lan", PASSWORD).await.unwrap(), desk.signs_in(None, "minh", PASSWORD).await.unwrap());
    let device = || DeviceRegistration { token: "phone".to_owned(), os: PushOs::Ios, device: None };
    let first = desk.chat().add_push_device(&lan, device()).await.unwrap();
    let again = desk.chat().add_push_device(&lan, device()).await.unwrap();
    assert_eq!((again.user_id, again.os), (lan.user.id, PushOs::Ios));
    assert_ne!(first.uuid, again.uuid);
    assert!(!desk.chat().remove_push_device(&minh, "phone").await.unwrap());
    assert!(desk.chat().remove_push_device(&lan, "phone").await.unwrap());
    assert!(!desk.chat().remove_push_device(&lan, "phone").await.unwrap());
}
