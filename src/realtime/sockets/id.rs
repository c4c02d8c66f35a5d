//! The name of a connection, as its client and the app's backend know it.

use std::fmt;
use std::str::FromStr;

/// Two numbers of 1 to 1,000,000,000, written `a.b`: what server libraries check for (`^\d+\.\d+$`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketId(pub u32, pub u32);

impl SocketId {
    /// The largest of each.
    pub const MAX: u32 = 1_000_000_000;

    /// The one that random bytes stand for.
    pub fn drawn(random: [u8; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = random;
        let within = |bytes| 1 + u32::from_le_bytes(bytes) % Self::MAX;
        Self(within([a, b, c, d]), within([e, f, g, h]))
    }

    /// The largest tag of a node.
    pub const TAG_MAX: u32 = 4095;

    /// The same as it is on a node with that tag.
    pub(in crate::realtime) fn of_node(self, tag: u32) -> Self {
        let step = Self::TAG_MAX + 1;
        // The last step is not a whole one, and 0 is no number.
        let at = (self.0 / step).clamp(1, Self::MAX / step - 1);
        Self(at * step + tag, self.1)
    }

    /// The tag of the node that it is on, where nodes have one.
    pub(in crate::realtime) fn tag(self) -> u32 {
        self.0 % (Self::TAG_MAX + 1)
    }
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// That is no name of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSocketId;

impl FromStr for SocketId {
    type Err = NoSocketId;

    fn from_str(text: &str) -> Result<Self, NoSocketId> {
        let part = |text: &str| -> Result<u32, NoSocketId> {
            if text.is_empty() || text.len() > 10 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(NoSocketId);
            }
            text.parse().ok().filter(|number| (1..=Self::MAX).contains(number)).ok_or(NoSocketId)
        };
        let (a, b) = text.split_once('.').ok_or(NoSocketId)?;
        Ok(Self(part(a)?, part(b)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_on_which_node_it_is() {
        for (name, tag) in [(1, 0), (1, 4095), (SocketId::MAX, 0), (SocketId::MAX, 4095), (77_777, 12)] {
            let id = SocketId(name, 3).of_node(tag);
            assert_eq!((id.tag(), id.to_string().parse()), (tag, Ok(id)));
        }
    }

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let id = SocketId::drawn([0xff; 8]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("1234.1234".parse(), Ok(SocketId(1234, 1234)));
        for wrong in ["", "1", "1.", ".1", "0.1", "1.2.3", "+1.2", "1.1000000001", "99999999999.1", "1.-2", " 1.2"] {
            assert_eq!(wrong.parse::<SocketId>(), Err(NoSocketId), "{wrong:?}");
        }
    }
}
