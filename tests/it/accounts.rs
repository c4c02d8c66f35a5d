//! Accounts below the doors: tenants, sessions, waits, and what people do to their own account.

mod credentials;
mod guessing;
mod own;

use std::net::IpAddr;

use roost::chat::{Registration, SharedChat};
use roost::domain::{Access, Email, Platform, User};

use crate::support::app::TestApp;

const PASSWORD: &str = "a good password";

fn email(name: &str) -> Email {
    Email::parse(&format!("{name}@example.test")).expect("the name makes an address")
}

fn home() -> IpAddr {
    IpAddr::from([192, 0, 2, 1])
}

/// The use-cases, and the gestures that every test makes.
struct Desk {
    app: TestApp,
}

impl Desk {
    async fn new() -> Self {
        Self { app: TestApp::start().await }
    }

    fn chat(&self) -> &SharedChat {
        &self.app.app.chat
    }

    async fn platform(&self, name: &str) -> Platform {
        self.chat().add_platform(name).await.unwrap()
    }

    /// Somebody who made their account themselves.
    async fn person(&self, platform: Option<&Platform>, name: &str) -> User {
        let registration = Registration {
            platform_id: platform.map(|platform| platform.id),
            email: email(name),
            name: name.to_owned(),
            password: PASSWORD.to_owned(),
            phone: None,
            language: None,
        };
        self.chat().sign_up(registration).await.unwrap()
    }

    async fn signs_in(&self, platform: Option<&Platform>, name: &str, password: &str) -> roost::error::Result<Access> {
        let device = "test".to_owned();
        let made = self.chat().sign_in(platform, &email(name), password.to_owned(), device, home()).await?;
        self.chat().authenticate(&made.token).await
    }
}
