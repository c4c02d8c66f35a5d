//! WebSocket frames as a client sees them (RFC 6455, section 5.2), and no more of them than a load
//! generator needs.
//!
//! It shares the machine with the server that it measures, so a frame is looked at where it lies in what was
//! read; only a frame that did not arrive whole is copied.

use crate::error::{Error, Result};

/// A frame of text.
pub const TEXT: u8 = 1;
/// The end, with a code and a reason.
pub const CLOSE: u8 = 8;
/// A sign of life that wants an answer.
pub const PING: u8 = 9;
/// The answer.
pub const PONG: u8 = 10;

/// A frame longer than that is no answer to anything that was sent.
const PAYLOAD_MAX: u64 = 4 << 20;

/// A client's frame, which has to be masked.
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    // Unpredictable masks protect proxies from hostile scripts; there are neither here.
    const MASK: [u8; 4] = [0x52, 0x6f, 0x6f, 0x73];
    let mut frame = Vec::with_capacity(payload.len() + 14);
    frame.push(0x80 | opcode);
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        middle @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// What arrived of frames that are not whole yet.
#[derive(Debug, Default)]
pub struct Frames {
    tail: Vec<u8>,
}

impl Frames {
    /// Takes what was read and hands on every frame that is whole: its opcode and its payload.
    ///
    /// # Errors
    /// What is no server's frame, and what `hear` says.
    pub fn feed(&mut self, bytes: &[u8], mut hear: impl FnMut(u8, &[u8]) -> Result<()>) -> Result<()> {
        if self.tail.is_empty() {
            let taken = take_all(bytes, &mut hear)?;
            self.tail.extend_from_slice(&bytes[taken..]);
        } else {
            self.tail.extend_from_slice(bytes);
            let taken = take_all(&self.tail, &mut hear)?;
            self.tail.drain(..taken);
        }
        if self.tail.is_empty() && self.tail.capacity() > 1024 {
            self.tail = Vec::new();
        }
        Ok(())
    }

    /// Keeps what was read, for [`Frames::next`].
    pub fn keep(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    /// What is left, as it is.
    pub fn tail(self) -> Vec<u8> {
        self.tail
    }

    /// The first frame that is whole, alone.
    ///
    /// # Errors
    /// What is no server's frame.
    pub fn next(&mut self) -> Result<Option<(u8, Vec<u8>)>> {
        let Some(head) = Head::of(&self.tail)? else { return Ok(None) };
        let Some(payload) = self.tail.get(head.size..head.size + head.length) else { return Ok(None) };
        let frame = (head.opcode, payload.to_vec());
        self.tail.drain(..head.size + head.length);
        Ok(Some(frame))
    }
}

/// Hands on every whole frame; how many bytes they took.
fn take_all(bytes: &[u8], hear: &mut impl FnMut(u8, &[u8]) -> Result<()>) -> Result<usize> {
    let mut taken = 0;
    while let Some(head) = Head::of(&bytes[taken..])? {
        let start = taken + head.size;
        let Some(payload) = bytes.get(start..start + head.length) else { break };
        hear(head.opcode, payload)?;
        taken = start + head.length;
    }
    Ok(taken)
}

struct Head {
    opcode: u8,
    /// Its own bytes.
    size: usize,
    /// The payload's bytes.
    length: usize,
}

impl Head {
    fn of(bytes: &[u8]) -> Result<Option<Self>> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & 0x70 != 0 || second & 0x80 != 0 {
            return Err(Error::internal("not a server's WebSocket frame"));
        }
        if first & 0x80 == 0 || first & 0x0f == 0 {
            return Err(Error::internal("a WebSocket message in pieces, which no server sends for short ones"));
        }
        let (size, length) = match second & 0x7f {
            126 => (4, rest.first_chunk().map(|length| u64::from(u16::from_be_bytes(*length)))),
            127 => (10, rest.first_chunk().map(|length| u64::from_be_bytes(*length))),
            short => (2, Some(u64::from(short))),
        };
        match length {
            None => Ok(None),
            Some(length) if length > PAYLOAD_MAX => Err(Error::internal("a WebSocket frame of many megabytes")),
            Some(length) => Ok(Some(Self { opcode: first & 0x0f, size, length: length as usize })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            short @ 0..=125 => frame.push(short as u8),
            middle @ 126..=0xffff => {
                frame.push(126);
                frame.extend((middle as u16).to_be_bytes());
            }
            long => {
                frame.push(127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        frame.extend(payload);
        frame
    }

    /// Three frames of every kind of length, fed in pieces of every size.
    #[test]
    fn frames_are_found_however_they_are_split() {
        let frames = [(TEXT, vec![b'a'; 5]), (PING, vec![]), (TEXT, vec![b'b'; 300]), (TEXT, vec![b'c'; 70_000])];
        let bytes: Vec<_> = frames.iter().flat_map(|(opcode, payload)| sent(*opcode, payload)).collect();
        for size in [1, 2, 3, 7, 100, 310, 4096, bytes.len()] {
            let (mut parser, mut found) = (Frames::default(), Vec::new());
            for piece in bytes.chunks(size) {
                parser
                    .feed(piece, |opcode, payload| {
                        found.push((opcode, payload.to_vec()));
                        Ok(())
                    })
                    .unwrap();
            }
            assert!(found == frames, "in pieces of {size}");
            assert!(parser.tail.is_empty());
        }
    }

    #[test]
    fn one_frame_is_taken_and_the_rest_stays() {
        let mut parser = Frames::default();
        let bytes = [sent(TEXT, b"one"), sent(TEXT, b"two")].concat();
        parser.keep(&bytes[..7]);
        assert_eq!(parser.next().unwrap(), Some((TEXT, b"one".to_vec())));
        assert_eq!(parser.next().unwrap(), None);
        parser.keep(&bytes[7..]);
        assert_eq!(parser.next().unwrap(), Some((TEXT, b"two".to_vec())));
    }

    #[test]
    fn a_clients_frame_is_masked() {
        assert_eq!(masked(TEXT, b"Roos!"), [0x81, 0x85, 0x52, 0x6f, 0x6f, 0x73, 0, 0, 0, 0, b'!' ^ 0x52]);
        assert_eq!(masked(TEXT, &[0; 126])[..4], [0x81, 0xfe, 0, 126]);
        assert_eq!(masked(TEXT, &[0; 65_536])[..10], [0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn what_no_server_sends_is_refused() {
        for bytes in [
            &masked(TEXT, b"x")[..],
            &[0x01, 1, b'a'],
            &[0x80, 1, b'a'],
            &[0xc1, 1, b'a'],
            &[0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert!(Frames::default().feed(bytes, |_, _| Ok(())).is_err(), "{bytes:?}");
        }
    }
}
