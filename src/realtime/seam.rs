//! The seam between what is read from the log and what arrives while it is read.
//!
//! Whoever catches up is entered among the listeners *before* the log is read. What is published from
//! then on waits here; what was read is then taken out of it by its cursor. So an event was either in what
//! was read or has been put here, or both, and the cursor tells: nothing is lost, nothing is told twice.
//!
//! This is the whole core of it, without a lock of its own: the owner holds it behind the lock under which
//! the listeners are published to. `tests/it/seam/` runs it under a model checker.

use std::collections::VecDeque;

/// What waits for somebody who follows, bounded. `C` is a cursor that grows over everything that is put in,
/// but for things that have none: those are told to who is there and are not in the log.
#[derive(Debug)]
pub struct Held<C, T> {
    queue: VecDeque<(Option<C>, T)>,
    weight: usize,
    max: usize,
    has_lapsed: bool,
}

/// More came than is held: the log has to be read again, from the cursor that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lapsed;

impl<C: Ord + Copy, T> Held<C, T> {
    /// Holds things that weigh at most `max` together. Takes no memory until there is one.
    pub fn new(max: usize) -> Self {
        Self { queue: VecDeque::new(), weight: 0, max, has_lapsed: false }
    }

    /// Puts something at the end. When there is no room for it everything is let go: it is in the log.
    pub fn put(&mut self, cursor: Option<C>, thing: T, weight: usize) {
        if self.has_lapsed {
            return;
        }
        self.weight += weight;
        if self.weight > self.max {
            self.lapse();
        } else {
            self.queue.push_back((cursor, thing));
        }
    }

    /// Lets everything go, because something did not come that should have been put here.
    pub fn lapse(&mut self) {
        *self = Self { has_lapsed: true, ..Self::new(self.max) };
    }

    /// Takes out everything but what `after` covers already, in order. From here on everything is held
    /// again, so that after [`Lapsed`] a reading of the log leaves no hole.
    ///
    /// # Errors
    /// [`Lapsed`] when things were let go since the last time.
    pub fn take(&mut self, after: C) -> Result<Vec<(Option<C>, T)>, Lapsed> {
        if std::mem::take(&mut self.has_lapsed) {
            return Err(Lapsed);
        }
        self.weight = 0;
        let is_new = |cursor: &Option<C>| cursor.is_none_or(|cursor| cursor > after);
        Ok(std::mem::take(&mut self.queue).into_iter().filter(|(cursor, _)| is_new(cursor)).collect())
    }

    /// Whether things were let go since the last time, which is forgotten: from here on everything is held again, and
    /// what was held stays.
    pub fn forgive(&mut self) -> bool {
        std::mem::take(&mut self.has_lapsed)
    }

    /// Whether a call of [`Held::take`] would find something, or has to be made to learn of a lapse.
    pub fn is_waiting(&self) -> bool {
        self.has_lapsed || !self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_not_told_again_and_the_rest_is_in_order() {
        let mut held = Held::new(8);
        assert!(!held.is_waiting());
        for cursor in 1..=4 {
            held.put(Some(cursor), cursor, 1);
        }
        held.put(None, 100, 1);
        assert_eq!(held.take(2), Ok(vec![(Some(3), 3), (Some(4), 4), (None, 100)]));
        assert_eq!(held.take(4), Ok(vec![]));
    }

    #[test]
    fn a_lapse_is_told_once_and_holds_again_from_there() {
        let mut held = Held::new(2);
        for cursor in 1..=5 {
            held.put(Some(cursor), (), 1);
        }
        assert!(held.is_waiting());
        assert_eq!(held.take(0), Err(Lapsed));
        held.put(Some(6), (), 1);
        assert_eq!(held.take(5), Ok(vec![(Some(6), ())]));
    }
}
