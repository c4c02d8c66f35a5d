//! What waits to be written to one connection.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, Result};

use super::Frame;

/// What a frame weighs beyond its bytes: its handle in the queue and its share of the allocation.
const WEIGHT: usize = 64;

/// How many frames one system call takes at most.
const FRAMES_PER_WRITE: usize = 64;

/// How far a flush came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// Nothing waits.
    End,
    /// The kernel takes no more for now.
    Full,
    /// The connection is gone.
    Broken,
}

/// What a flush did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    pub frames: u64,
    pub bytes: u64,
    pub writes: u64,
}

/// Frames in order, the first perhaps written in part.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Frame>,
    weight: usize,
    /// How much of the first frame is written.
    begun: usize,
    /// Whether a fan-out thread has it on the list of those that it will flush.
    pub is_touched: bool,
    /// Whether the kernel takes no more: the connection's task flushes when it does again.
    pub is_blocked: bool,
    /// Whether the last frame is in, or out.
    pub is_ended: bool,
}

impl Outbox {
    /// What waits, in bytes, with what the waiting itself costs.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Appends; nothing comes after the end.
    pub fn push(&mut self, frame: Frame) {
        if !self.is_ended && !frame.is_empty() {
            self.weight += weight(&frame);
            self.queue.push_back(frame);
        }
    }

    /// Appends the last frame.
    pub fn end(&mut self, last: Frame) {
        self.push(last);
        self.is_ended = true;
    }

    /// Forgets what waits, but for a frame that is written in part: half a frame would make nonsense
    /// of what follows.
    pub fn forget(&mut self) {
        self.queue.truncate(usize::from(self.begun > 0));
        self.queue.shrink_to_fit();
        self.weight = self.queue.iter().map(weight).sum();
    }

    /// Writes until nothing waits or the kernel takes no more.
    pub fn flush(&mut self, written: &mut Written, mut write: impl FnMut(&[IoSlice<'_>]) -> Result<usize>) -> Reached {
        while !self.queue.is_empty() {
            match self.write_once(&mut write) {
                Ok(0) => return Reached::Broken,
                Ok(count) => {
                    written.writes += 1;
                    written.bytes += count as u64;
                    written.frames += self.advance(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Reached::Full,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Reached::Broken,
            }
        }
        // Most connections are idle most of the time: an empty queue holds no memory.
        self.queue = VecDeque::new();
        Reached::End
    }

    fn write_once(&self, write: &mut impl FnMut(&[IoSlice<'_>]) -> Result<usize>) -> Result<usize> {
        let mut slices = [IoSlice::new(&[]); FRAMES_PER_WRITE];
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.queue) {
            *slice = IoSlice::new(if count == 0 { &frame[self.begun..] } else { frame });
            count += 1;
        }
        write(&slices[..count])
    }

    /// Takes written bytes off; how many frames they completed.
    fn advance(&mut self, mut count: usize) -> u64 {
        let mut completed = 0;
        while let Some(first) = self.queue.front() {
            let left = first.len() - self.begun;
            if count < left {
                self.begun += count;
                break;
            }
            count -= left;
            self.begun = 0;
            self.weight -= weight(first);
            self.queue.pop_front();
            completed += 1;
        }
        completed
    }
}

/// What a frame that waits counts for.
pub(super) fn weight(frame: &Frame) -> usize {
    frame.len() + WEIGHT
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A kernel that takes `room` bytes.
    fn kernel<'k>(taken: &'k mut Vec<u8>, room: &'k mut usize) -> impl FnMut(&[IoSlice<'_>]) -> Result<usize> + 'k {
        move |slices| {
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(*room).collect();
            if bytes.is_empty() {
                return Err(ErrorKind::WouldBlock.into());
            }
            taken.extend_from_slice(&bytes);
            *room -= bytes.len();
            Ok(bytes.len())
        }
    }

    proptest! {
        #[test]
        fn what_goes_out_is_what_came_in(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..200),
            rooms in prop::collection::vec(1usize..300, 0..40),
        ) {
            let (mut outbox, mut taken, mut written) = (Outbox::default(), Vec::new(), Written::default());
            for frame in &frames {
                outbox.push(Frame::from(frame.clone()));
            }
            for mut room in rooms {
                outbox.flush(&mut written, kernel(&mut taken, &mut room));
            }
            let mut room = usize::MAX;
            prop_assert_eq!(outbox.flush(&mut written, kernel(&mut taken, &mut room)), Reached::End);
            prop_assert_eq!(&taken, &frames.concat());
            prop_assert_eq!(written.bytes as usize, taken.len());
            prop_assert_eq!(written.frames as usize, frames.len());
            prop_assert_eq!((outbox.weight(), outbox.queue.capacity()), (0, 0));
        }
    }

    #[test]
    fn what_is_forgotten_leaves_whole_frames() {
        let (mut outbox, mut taken, mut written) = (Outbox::default(), Vec::new(), Written::default());
        for frame in ["abcd", "efgh", "ijkl"] {
            outbox.push(Frame::from_static(frame.as_bytes()));
        }
        assert_eq!(outbox.flush(&mut written, kernel(&mut taken, &mut 6)), Reached::Full);
        outbox.forget();
        outbox.end(Frame::from_static(b"END"));
        outbox.push(Frame::from_static(b"too late"));
        assert_eq!(outbox.flush(&mut written, kernel(&mut taken, &mut 100)), Reached::End);
        assert_eq!(taken, b"abcdefghEND");
        assert_eq!(outbox.weight(), 0);
    }
}
