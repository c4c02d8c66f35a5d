//! Letters: one-time codes, by SMTP or, in development, to the log.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use crate::domain::Email;
use crate::error::{Error, Result};

/// How letters leave.
#[derive(Clone, Debug)]
pub enum Mailer {
    /// By SMTP.
    Smtp {
        /// The way to the server.
        transport: AsyncSmtpTransport<Tokio1Executor>,
        /// Who they come from.
        from: Box<Mailbox>,
    },
    /// To the log, where a developer reads the code. Never on a public address.
    Log,
    /// Not at all.
    Off,
}

impl Mailer {
    /// A mailer for an SMTP address such as `smtps://user:password@mail.example.com`.
    ///
    /// # Errors
    /// `Internal` with a sentence for the operator.
    pub fn smtp(url: &str, from: &str) -> Result<Self> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|error| Error::internal(format!("mail.smtp_url: {error}")))?
            .timeout(Some(Duration::from_secs(10)))
            .build();
        Ok(Self::Smtp { transport, from: Box::new(sender(from)?) })
    }

    /// Refuses what would need a letter when none can be sent.
    ///
    /// # Errors
    /// `Upstream` when mail is off.
    pub fn must_work(&self) -> Result<()> {
        match self {
            Self::Off => Err(Error::Upstream("mail is not configured: set mail.smtp_url and mail.from".into())),
            Self::Smtp { .. } | Self::Log => Ok(()),
        }
    }

    /// Sends somebody their one-time code, and says how long it is good for.
    ///
    /// # Errors
    /// `Upstream` when it could not be handed over.
    pub async fn send_code(&self, to: &Email, name: &str, code: &str, lifetime: Duration) -> Result<()> {
        match self {
            Self::Off => self.must_work(),
            Self::Log => {
                tracing::info!(code, "one-time code (development: no mail is configured)");
                Ok(())
            }
            Self::Smtp { transport, from } => {
                let address = to.as_str().parse().map_err(|error| Error::Upstream(Box::new(error)))?;
                let letter = Message::builder()
                    .from((**from).clone())
                    .to(Mailbox::new(Some(name.to_owned()), address))
                    .subject("Your code")
                    .body(format!("Your code is {code}. It is good for {}.\n", minutes(lifetime)))
                    .map_err(|error| Error::Upstream(Box::new(error)))?;
                transport.send(letter).await.map_err(|error| Error::Upstream(Box::new(error)))?;
                Ok(())
            }
        }
    }
}

/// Who letters come from, as the operator wrote it.
///
/// # Errors
/// `Internal` with a sentence for the operator.
pub fn sender(from: &str) -> Result<Mailbox> {
    from.parse().map_err(|error| Error::internal(format!("mail.from: {error}")))
}

/// How long that is, in words.
fn minutes(lifetime: Duration) -> String {
    match lifetime.as_secs() / 60 {
        1 => "1 minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}
