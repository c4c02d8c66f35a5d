//! Tickets: what lets a browser's `EventSource` in, which can send no headers.
//!
//! An address is logged by every proxy on the way, so a token must not stand in one. A ticket may: it opens one
//! stream and nothing else, and ends soon. It cannot be for one use, because a browser comes back with the same
//! address whenever its connection breaks. It holds the token that it was made with, sealed, so that it ends
//! with it and needs no place in the store.

use super::Chat;
use crate::domain::{Access, Timestamp};
use crate::error::{Error, Result};

/// What a ticket lets in to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketFor {
    /// The stream of a user's conversations.
    Letters,
    /// The stream of the live chats.
    Desk,
}

impl TicketFor {
    fn as_str(self) -> &'static str {
        match self {
            Self::Letters => "letters",
            Self::Desk => "desk",
        }
    }
}

/// A ticket, and for how long it lets in.
#[derive(Clone)]
pub struct Ticket {
    /// What stands in the address.
    pub ticket: String,
    /// In seconds.
    pub expires_in: u64,
}

impl Chat {
    /// Makes a ticket of a bearer token, whose bearer is known to be let in.
    ///
    /// # Errors
    /// `Internal` when it cannot be sealed.
    pub fn make_ticket(&self, bearer: &str, what: TicketFor) -> Result<Ticket> {
        let lifetime = self.rules.ticket_lifetime;
        let text = format!("{}\n{}\n{bearer}", what.as_str(), self.clock.now().plus(lifetime).0);
        let ticket = self.ticket_seal.close(&text, self.clock.secret());
        let ticket = ticket.ok_or_else(|| Error::internal("a ticket cannot be sealed"))?;
        Ok(Ticket { ticket, expires_in: lifetime.as_secs() })
    }

    /// The bearer token in a ticket, and whom it stands for.
    ///
    /// # Errors
    /// `Unauthenticated` for anything but a ticket of this server for just that, that is not over, made with a
    /// token that is still valid.
    pub async fn admit(&self, ticket: &str, what: TicketFor) -> Result<(String, Access)> {
        let text = self.ticket_seal.open(ticket).ok_or(Error::Unauthenticated)?;
        let bearer = bearer(&text, what, self.clock.now()).ok_or(Error::Unauthenticated)?;
        let access = self.authenticate(bearer).await?;
        Ok((bearer.to_owned(), access))
    }
}

fn bearer(text: &str, what: TicketFor, now: Timestamp) -> Option<&str> {
    let (purpose, rest) = text.split_once('\n')?;
    let (end, bearer) = rest.split_once('\n')?;
    let is_good = purpose == what.as_str() && now < Timestamp(end.parse().ok()?);
    is_good.then_some(bearer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_for_one_thing_and_for_a_while() {
        let text = "letters\n1000\n12|secret";
        let at = |micros| Timestamp(micros);
        assert_eq!(bearer(text, TicketFor::Letters, at(999)), Some("12|secret"));
        assert_eq!(bearer(text, TicketFor::Letters, at(1000)), None, "it is over");
        assert_eq!(bearer(text, TicketFor::Desk, at(999)), None, "it is for something else");
        for wrong in ["", "letters", "letters\n1000", "letters\nsoon\n12|secret"] {
            assert_eq!(bearer(wrong, TicketFor::Letters, at(999)), None, "{wrong:?}");
        }
    }
}
