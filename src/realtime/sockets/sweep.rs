//! When each connection is looked at: one wheel for all, in the place of a timer for each.

use super::socket::Socket;
use super::{SocketId, SocketRules};

/// Seconds that the wheel goes around in; what is due later is looked at earlier, and put again.
const SLOTS: usize = 512;

/// No sign of life for too long. The client is dead, so it will not hammer: a live one would, at
/// this code.
const NO_PONG: (u16, &str) = (4201, "no pong");

/// Names of connections by the second in which they are looked at.
#[derive(Debug)]
pub(super) struct Wheel {
    slots: Vec<Vec<SocketId>>,
    /// The second that comes next.
    at: u32,
}

impl Default for Wheel {
    fn default() -> Self {
        Self { slots: vec![Vec::new(); SLOTS], at: 1 }
    }
}

impl Wheel {
    /// To be looked at after so many seconds.
    pub fn put(&mut self, id: SocketId, after: u32) {
        // The present second was turned already.
        let slot = self.at as usize - 1 + (after as usize).clamp(1, SLOTS - 1);
        self.slots[slot % SLOTS].push(id);
    }

    /// Turns until `now`, in seconds since the start; who is due.
    pub fn turn(&mut self, now: u32) -> Vec<SocketId> {
        let mut due = Vec::new();
        while self.at <= now {
            due.append(&mut std::mem::take(&mut self.slots[self.at as usize % SLOTS]));
            self.at += 1;
        }
        due
    }
}

/// Looks at a connection; after how many seconds to look again, if at all.
pub(super) fn visit(socket: &Socket, rules: &SocketRules, now: u32) -> Option<u32> {
    if socket.is_closing() {
        let left = socket.close_by().saturating_sub(now);
        if left == 0 {
            socket.end();
        }
        return Some(left).filter(|left| *left > 0);
    }
    let (ping, pong) = (rules.ping_after.as_secs() as u32, rules.pong_wait.as_secs() as u32);
    let silent = now.saturating_sub(socket.heard_at());
    if silent < ping {
        return Some(ping - silent);
    }
    // Nobody is closed who was not asked, however long this look is late.
    if !socket.is_asked() {
        socket.ask();
        return Some(pong);
    }
    if silent < ping + pong {
        return Some(ping + pong - silent);
    }
    socket.close(NO_PONG.0, NO_PONG.1);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_looked_at_when_it_is_time() {
        let mut wheel = Wheel::default();
        let [soon, later, far] = [SocketId(1, 1), SocketId(2, 2), SocketId(3, 3)];
        wheel.turn(9);
        wheel.put(soon, 1);
        wheel.put(later, 30);
        wheel.put(far, 100_000);
        assert_eq!(wheel.turn(9), []);
        assert_eq!(wheel.turn(10), [soon]);
        assert_eq!(wheel.turn(38), []);
        assert_eq!(wheel.turn(39), [later]);
        assert_eq!(wheel.turn(8 + SLOTS as u32), [far], "earlier than asked for, once around");
        assert_eq!(wheel.turn(10_000), []);
    }
}
