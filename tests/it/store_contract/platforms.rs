//! Tenants, what belongs to them, roles, devices, and accounts that are given up.

use roost::domain::{Email, Json, MembershipStatus, Platform, PushDevice, PushOs, Role, User, UserId};
use roost::error::{Error, FieldError, Rule};
use roost::store::{CodeCheck, NewPlatform, NewPushDevice, NewUser, PUSH_DEVICES_MAX, UserFilter};
use uuid::Uuid;

use super::accounts::token;
use super::{Bench, benches};
use crate::support::store::{at, from_staff, staff};

fn platform(name: &str) -> NewPlatform {
    NewPlatform {
        key: Uuid::new_v4(),
        name: name.to_owned(),
        slug: Platform::slug_of(name),
        secret: format!("the secret of {name}"),
        at: at(1),
    }
}

impl Bench {
    pub(super) async fn platform(&self, name: &str) -> Platform {
        self.store.add_platform(platform(name)).await.unwrap()
    }

    pub(super) async fn user_of(&self, platform: &Platform, name: &str) -> User {
        let new = NewUser { platform_id: Some(platform.id), is_staff: false, ..staff(name) };
        self.store.add_user(new).await.unwrap()
    }

    pub(super) async fn device(&self, user: &User, token: &str) -> PushDevice {
        let device = NewPushDevice {
            uuid: Uuid::new_v4(),
            user_id: user.id,
            token: token.to_owned(),
            os: PushOs::Web,
            device: Some(Json(r#"{"type":"web"}"#.to_owned())),
            at: at(2),
        };
        self.store.add_push_device(device).await.unwrap()
    }
}

#[tokio::test]
async fn a_platform_is_found_by_its_key_and_its_number() {
    for bench in benches().await {
        let new = platform("Acme Shop");
        let acme = bench.store.add_platform(new.clone()).await.unwrap();
        let want = Platform {
            id: acme.id,
            key: new.key,
            name: "Acme Shop".to_owned(),
            slug: "acme-shop".to_owned(),
            secret: new.secret.clone(),
            created_at: at(1),
        };
        assert!(acme == want, "{acme:?}");
        let other = bench.platform("Other").await;
        let twice = bench.store.add_platform(new.clone()).await;
        let Err(Error::Invalid(fields)) = twice else { panic!("{twice:?}") };
        assert_eq!(fields, [FieldError { field: "key".into(), rule: Rule::Unique }]);

        let bench = bench.reopen().await;
        assert_eq!(bench.store.platform_by_key(new.key).await.unwrap(), Some(want.clone()));
        assert_eq!(bench.store.platform(acme.id).await.unwrap(), Some(want.clone()));
        assert_eq!(bench.store.platform_by_key(Uuid::new_v4()).await.unwrap(), None);
        assert_eq!(bench.store.platform(roost::domain::PlatformId(other.id.0 + 1)).await.unwrap(), None);
        assert_eq!(bench.store.platforms().await.unwrap(), [want, other]);
    }
}

#[tokio::test]
async fn an_address_has_one_account_on_each_platform_and_one_on_none() {
    for bench in benches().await {
        let (acme, other) = (bench.platform("Acme").await, bench.platform("Other").await);
        let at_acme = bench.user_of(&acme, "lan").await;
        assert_eq!(at_acme.platform_id, Some(acme.id));
        let at_other = bench.user_of(&other, "lan").await;
        let find = |platform: Option<&Platform>| {
            let (store, email) = (bench.store.clone(), Email::parse("lan@example.test").unwrap());
            let platform = platform.map(|platform| platform.id);
            async move { store.user_by_email(platform, &email).await.unwrap().map(|(user, _)| user) }
        };
        assert_eq!(find(None).await, Some(at_acme.clone()), "who knows no tenant finds the oldest");
        let of_none = bench.staff("lan").await;
        assert_eq!(find(None).await, Some(of_none), "but the one of no tenant before it");
        assert_eq!((find(Some(&acme)).await, find(Some(&other)).await), (Some(at_acme), Some(at_other)));
        for platform_id in [None, Some(acme.id)] {
            let twice = bench.store.add_user(NewUser { platform_id, ..staff("LAN") }).await;
            let Err(Error::Invalid(fields)) = twice else { panic!("{twice:?}") };
            assert_eq!(fields, [FieldError { field: "email".into(), rule: Rule::Unique }]);
        }
    }
}

#[tokio::test]
async fn a_user_is_not_seen_through_another_platform() {
    for bench in benches().await {
        let (acme, other) = (bench.platform("Acme").await, bench.platform("Other").await);
        let (lan, minh) = (bench.user_of(&acme, "lan").await, bench.user_of(&other, "minh").await);
        let of_none = bench.staff("tam").await;
        let find = |platform: &Platform, user: &User| bench.store.user_by_uuid(platform.id, user.uuid);
        assert_eq!(find(&acme, &lan).await.unwrap(), Some(lan.clone()));
        assert_eq!(find(&other, &lan).await.unwrap(), None);
        assert_eq!(find(&acme, &of_none).await.unwrap(), None);
        assert_eq!(bench.store.user_by_email(Some(acme.id), &minh.email).await.unwrap(), None);
        assert_eq!(bench.store.user_by_email(Some(acme.id), &of_none.email).await.unwrap(), None);

        let page = |platform_id, after, limit| bench.store.users(UserFilter { platform_id, after, limit });
        assert_eq!(page(Some(acme.id), UserId(0), 9).await.unwrap(), std::slice::from_ref(&lan));
        assert_eq!(page(None, UserId(0), 9).await.unwrap(), [lan, minh.clone(), of_none]);
        assert_eq!(page(Some(other.id), minh.id, 9).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_membership_is_made_once_and_then_changed() {
    for bench in benches().await {
        let acme = bench.platform("Acme").await;
        let (lan, minh) = (bench.user_of(&acme, "lan").await, bench.user_of(&acme, "minh").await);
        let set = |role: &str, status, now| bench.store.set_membership(lan.id, role.to_owned(), status, at(now));
        let asked = set("manager", MembershipStatus::Requested, 1).await.unwrap();
        let buyer = set("buyer", MembershipStatus::Approved, 2).await.unwrap();
        let given = set("manager", MembershipStatus::Approved, 3).await.unwrap();
        assert_eq!((asked.role.as_str(), asked.created_at, asked.updated_at), ("manager", at(1), at(1)));
        assert_eq!((given.id, given.status), (asked.id, MembershipStatus::Approved));
        assert_eq!((given.created_at, given.updated_at), (at(1), at(3)));
        assert_eq!(bench.store.memberships(lan.id).await.unwrap(), [given, buyer]);
        assert_eq!(bench.store.memberships(minh.id).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_device_is_registered_once_a_user() {
    for bench in benches().await {
        let acme = bench.platform("Acme").await;
        let (lan, minh) = (bench.user_of(&acme, "lan").await, bench.user_of(&acme, "minh").await);
        let first = bench.device(&lan, "phone").await;
        assert_eq!((first.user_id, first.token.as_str(), first.os), (lan.id, "phone", PushOs::Web));
        assert_eq!((first.device.clone(), first.created_at), (Some(Json(r#"{"type":"web"}"#.to_owned())), at(2)));
        let laptop = bench.device(&lan, "laptop").await;
        let again = bench.device(&lan, "phone").await;
        assert_ne!(again.uuid, first.uuid);
        let others = bench.device(&minh, "phone").await;
        assert_eq!(bench.store.push_devices(lan.id).await.unwrap(), [laptop.clone(), again]);

        assert!(bench.store.remove_push_device(lan.id, "phone").await.unwrap());
        assert!(!bench.store.remove_push_device(lan.id, "phone").await.unwrap());
        assert_eq!(bench.store.push_devices(lan.id).await.unwrap(), [laptop]);
        assert_eq!(bench.store.push_devices(minh.id).await.unwrap(), [others], "another's stays");
    }
}

#[tokio::test]
async fn a_user_has_so_many_devices_at_the_most() {
    for bench in benches().await {
        let (lan, minh) = (bench.staff("lan").await, bench.staff("minh").await);
        bench.device(&minh, "phone").await;
        for number in 0..=PUSH_DEVICES_MAX {
            bench.device(&lan, &number.to_string()).await;
        }
        let kept = bench.store.push_devices(lan.id).await.unwrap();
        assert_eq!((kept.len(), kept[0].token.as_str()), (PUSH_DEVICES_MAX, "1"), "the oldest made room");
        assert_eq!(bench.store.push_devices(minh.id).await.unwrap().len(), 1);
    }
}

/// What they wrote stays in the log, with its author's number; who they were is gone.
#[tokio::test]
async fn an_erased_account_leaves_its_messages_and_nothing_else() {
    for bench in benches().await {
        let acme = bench.platform("Acme").await;
        let lan = NewUser {
            platform_id: Some(acme.id),
            phone: Some("+84 1".to_owned()),
            password_hash: Some("hash".to_owned()),
            ..staff("lan")
        };
        let lan = bench.store.add_user(lan).await.unwrap();
        let (chat, minh) = (bench.chat("a").await, bench.user_of(&acme, "minh").await);
        bench.append(from_staff(chat.id, lan.id, "hello")).await;
        let phone = bench.store.add_token(token(&lan, "phone")).await.unwrap();
        bench.store.set_code(lan.id, [1; 32], at(0), std::time::Duration::ZERO, at(60)).await.unwrap();
        bench.store.set_membership(lan.id, "buyer".to_owned(), MembershipStatus::Approved, at(1)).await.unwrap();
        bench.device(&lan, "phone").await;
        bench.device(&minh, "phone").await;

        assert!(bench.store.erase_user(lan.id, at(5)).await.unwrap());
        let left = bench.store.user(lan.id).await.unwrap().unwrap();
        let want = User {
            email: Email::parse(&format!("deleted-{}@invalid.invalid", lan.id)).unwrap(),
            name: "Deleted user".to_owned(),
            phone: None,
            is_staff: false,
            is_active: false,
            is_verified: false,
            updated_at: at(5),
            ..lan.clone()
        };
        assert_eq!(left, want);
        assert_eq!(bench.store.user_by_email(Some(acme.id), &lan.email).await.unwrap(), None);
        assert_eq!(bench.store.user_by_email(None, &left.email).await.unwrap(), None, "nobody signs in to it");
        assert!(bench.store.token(phone).await.unwrap().is_none());
        assert_eq!(bench.store.check_code(lan.id, [1; 32], 3, at(6)).await.unwrap(), CodeCheck::Refused);
        assert_eq!(bench.store.memberships(lan.id).await.unwrap(), []);
        assert_eq!(bench.store.push_devices(lan.id).await.unwrap(), []);
        assert_eq!(bench.store.push_devices(minh.id).await.unwrap().len(), 1);
        let said = bench.messages(chat.id).await;
        assert_eq!((said[0].role, said[0].user_id), (Role::Staff, Some(lan.id)));

        assert_ne!(bench.user_of(&acme, "lan").await.id, lan.id, "the address is free again");
        assert!(!bench.store.erase_user(UserId(99), at(6)).await.unwrap());
    }
}

/// The address that takes the place of an erased account's may be known in advance.
#[tokio::test]
async fn nobody_keeps_another_from_giving_up_their_account() {
    for bench in benches().await {
        let lan = bench.newcomer("lan").await;
        let email = Email::parse(&format!("deleted-{}@invalid.invalid", lan.id)).unwrap();
        let squatter = NewUser { email: email.clone(), is_staff: false, ..staff("squatter") };
        let squatter = bench.store.add_user(squatter).await.unwrap();
        assert!(bench.store.erase_user(lan.id, at(5)).await.unwrap());
        let (found, _) = bench.store.user_by_email(None, &email).await.unwrap().expect("the squatter's account");
        assert_eq!(found, squatter);
    }
}

#[tokio::test]
async fn a_user_was_seen_last_when_it_was_noted_last() {
    for bench in benches().await {
        let (here, there) = (bench.pair().await, bench.pair().await);
        let (ana, ben) = (&here.ana, &here.ben);
        bench.store.note_seen(vec![ana.id, there.ana.id], at(5)).await.unwrap();
        bench.store.note_seen(vec![ana.id], at(3)).await.unwrap();
        let asked = vec![ana.uuid, ben.uuid, there.ana.uuid, Uuid::nil()];
        let mut seen = bench.store.seen(here.platform.id, asked).await.unwrap();
        seen.sort_by_key(|seen| seen.id);
        let told: Vec<_> = seen.iter().map(|seen| (seen.id, seen.uuid, seen.at)).collect();
        assert_eq!(told, [(ana.id, ana.uuid, Some(at(5))), (ben.id, ben.uuid, None)], "and nobody of another tenant");
    }
}
