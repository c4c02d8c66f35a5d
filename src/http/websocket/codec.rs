//! Frames of a client (RFC 6455, section 5), read from bytes as they come.
//!
//! No input or output here: bytes go in, in whatever pieces, and messages come out. A frame that
//! arrives whole is handed over where it lies; only what is incomplete is kept, and never more than
//! the largest message. What a frame's head gives away is refused before its payload is looked at.

use std::ops::ControlFlow;

/// What a frame brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// A part of a message that is not its last.
    Part,
    /// A ping, to be answered with the same payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// The client closes; with a code, if it said one. Nothing comes after it.
    Close(Option<u16>),
}

/// What a client must not send: the code to close with, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// 1002 (protocol), 1007 (not UTF-8) or 1009 (too big).
    pub code: u16,
    /// The reason to give.
    pub reason: &'static str,
}

const fn protocol(reason: &'static str) -> Violation {
    Violation { code: 1002, reason }
}

const TOO_BIG: Violation = Violation { code: 1009, reason: "message too big" };
const NOT_UTF8: Violation = Violation { code: 1007, reason: "text is not UTF-8" };

/// The longest head: two bytes, eight of length, four of mask.
const HEAD_MAX: usize = 14;

/// Reads one client's frames.
#[derive(Debug)]
pub struct Decoder {
    message_max: usize,
    head: [u8; HEAD_MAX],
    head_length: u8,
    frame: Option<Frame>,
    /// What the message that is being received is.
    message_kind: Option<Kind>,
    /// What of it is here.
    message: Vec<u8>,
    /// What is here of a control frame: they come also between the frames of a message.
    control: Vec<u8>,
    is_over: bool,
}

/// A frame whose head is read.
#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: Kind,
    is_last: bool,
    length: usize,
    taken: usize,
    mask: [u8; 4],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Kind {
    fn of(opcode: u8) -> Option<Self> {
        Some(match opcode {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

impl Decoder {
    /// For messages of at most `message_max` bytes.
    pub fn new(message_max: usize) -> Self {
        Self {
            message_max,
            head: [0; HEAD_MAX],
            head_length: 0,
            frame: None,
            message_kind: None,
            message: Vec::new(),
            control: Vec::new(),
            is_over: false,
        }
    }

    /// How many bytes are kept of what is incomplete.
    pub fn kept(&self) -> usize {
        self.message.capacity() + self.control.capacity()
    }

    /// Takes bytes, which are unmasked where they lie, and gives what they complete to `on`. After a close,
    /// a violation or a `Break` everything is ignored.
    ///
    /// # Errors
    /// What the client must not have sent.
    pub fn feed(
        &mut self,
        mut bytes: &mut [u8],
        on: &mut impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<(), Violation> {
        while !self.is_over {
            let stepped = match self.frame {
                None => self.read_head(&mut bytes),
                Some(frame) => self.read_payload(frame, &mut bytes, on),
            };
            match stepped {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break,
                Err(violation) => {
                    self.end();
                    return Err(violation);
                }
            }
        }
        Ok(())
    }

    /// Forgets what is kept; everything that comes is ignored.
    pub fn end(&mut self) {
        self.is_over = true;
        self.message = Vec::new();
        self.control = Vec::new();
    }

    /// Reads on in a head; `Break` when the bytes are used up before its end.
    fn read_head(&mut self, bytes: &mut &mut [u8]) -> Result<ControlFlow<()>, Violation> {
        loop {
            let have = usize::from(self.head_length);
            let need = self.head_needs()?;
            if have == need {
                break;
            }
            let part: &mut [u8] = bytes.split_off_mut(..(need - have).min(bytes.len())).unwrap_or_default();
            if part.is_empty() {
                return Ok(ControlFlow::Break(()));
            }
            self.head[have..have + part.len()].copy_from_slice(part);
            self.head_length += part.len() as u8;
        }
        self.begin_frame()?;
        Ok(ControlFlow::Continue(()))
    }

    /// How long the head is, as far as it can be told. Whatever the first two bytes give away is
    /// refused here.
    fn head_needs(&self) -> Result<usize, Violation> {
        if self.head_length < 2 {
            return Ok(2);
        }
        let [first, second, ..] = self.head;
        if first & 0x70 != 0 {
            return Err(protocol("reserved bits are set"));
        }
        let kind = Kind::of(first & 0x0f).ok_or(protocol("unknown opcode"))?;
        if second & 0x80 == 0 {
            return Err(protocol("a client masks its frames"));
        }
        let is_last = first & 0x80 != 0;
        match (kind, self.message_kind) {
            (kind, _) if kind.is_control() && (!is_last || second & 0x7f > 125) => {
                return Err(protocol("a control frame is whole and short"));
            }
            (Kind::Continuation, None) => return Err(protocol("there is nothing to continue")),
            (Kind::Text | Kind::Binary, Some(_)) => return Err(protocol("the message before is not complete")),
            _ => {}
        }
        Ok(match second & 0x7f {
            126 => 2 + 2 + 4,
            127 => 2 + 8 + 4,
            _ => 2 + 4,
        })
    }

    fn begin_frame(&mut self) -> Result<(), Violation> {
        let [first, second, rest @ ..] = self.head;
        let length = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes([rest[0], rest[1]])),
            127 => u64::from_be_bytes([rest[0], rest[1], rest[2], rest[3], rest[4], rest[5], rest[6], rest[7]]),
            short => u64::from(short),
        };
        let is_minimal = match second & 0x7f {
            126 => length > 125,
            127 => length > 0xffff && length >> 63 == 0,
            _ => true,
        };
        if !is_minimal {
            return Err(protocol("the length is not in its shortest form"));
        }
        let kind = Kind::of(first & 0x0f).ok_or(protocol("unknown opcode"))?;
        let before = if kind.is_control() { 0 } else { self.message.len() };
        let length = usize::try_from(length).ok().filter(|length| *length <= self.message_max.saturating_sub(before));
        // A control frame may be larger than the largest message, where that is tiny.
        let length = if kind.is_control() { usize::from(second & 0x7f) } else { length.ok_or(TOO_BIG)? };
        let head_length = usize::from(self.head_length);
        let mut mask = [0; 4];
        mask.copy_from_slice(&self.head[head_length - 4..head_length]);
        if matches!(kind, Kind::Text | Kind::Binary) {
            self.message_kind = Some(kind);
        }
        self.head_length = 0;
        self.frame = Some(Frame { kind, is_last: first & 0x80 != 0, length, taken: 0, mask });
        Ok(())
    }

    /// Reads on in a payload; `Break` when the bytes are used up before its end.
    fn read_payload(
        &mut self,
        frame: Frame,
        bytes: &mut &mut [u8],
        on: &mut impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        let available = (frame.length - frame.taken).min(bytes.len());
        let part: &mut [u8] = bytes.split_off_mut(..available).unwrap_or_default();
        unmask(part, frame.mask, frame.taken);
        let taken = frame.taken + available;
        if taken < frame.length {
            self.keep(frame.kind, part);
            self.frame = Some(Frame { taken, ..frame });
            return Ok(ControlFlow::Break(()));
        }
        self.frame = None;
        let flow = if frame.kind.is_control() {
            self.control_complete(frame.kind, part, on)?
        } else {
            self.data_complete(frame, part, on)?
        };
        if flow.is_break() {
            self.end();
        }
        Ok(flow)
    }

    fn control_complete(
        &mut self,
        kind: Kind,
        part: &[u8],
        on: &mut impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        let mut kept = std::mem::take(&mut self.control);
        let payload = if kept.is_empty() {
            part
        } else {
            kept.extend_from_slice(part);
            &kept
        };
        Ok(match kind {
            Kind::Ping => on(Incoming::Ping(payload)),
            Kind::Close => {
                let code = close_code(payload)?;
                let _ = on(Incoming::Close(code));
                ControlFlow::Break(())
            }
            _ => on(Incoming::Pong),
        })
    }

    fn data_complete(
        &mut self,
        frame: Frame,
        part: &[u8],
        on: &mut impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        if !frame.is_last {
            self.keep(frame.kind, part);
            return Ok(on(Incoming::Part));
        }
        let kind = self.message_kind.take();
        if !self.message.is_empty() {
            self.keep(frame.kind, part);
        }
        let kept = std::mem::take(&mut self.message);
        let message = if kept.is_empty() { part } else { &kept };
        if kind == Some(Kind::Binary) {
            return Ok(on(Incoming::Binary(message)));
        }
        let text = std::str::from_utf8(message).map_err(|_| NOT_UTF8)?;
        Ok(on(Incoming::Text(text)))
    }

    /// Keeps what is incomplete. Room grows with what arrives, not with what a head announces.
    fn keep(&mut self, kind: Kind, part: &[u8]) {
        if kind.is_control() {
            self.control.extend_from_slice(part);
            return;
        }
        let need = self.message.len() + part.len();
        if need > self.message.capacity() {
            let room = need.max(2 * self.message.capacity()).min(self.message_max);
            self.message.reserve_exact(room - self.message.len());
        }
        self.message.extend_from_slice(part);
    }
}

/// Section 7.4: which codes a client may send.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let [high, low, reason @ ..] = payload else {
        return if payload.is_empty() { Ok(None) } else { Err(protocol("half a close code")) };
    };
    let code = u16::from_be_bytes([*high, *low]);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(protocol("no close code"));
    }
    std::str::from_utf8(reason).map_err(|_| NOT_UTF8)?;
    Ok(Some(code))
}

/// Takes the mask off a part that begins `at` bytes into the payload.
fn unmask(part: &mut [u8], mask: [u8; 4], at: usize) {
    let mask: [u8; 4] = std::array::from_fn(|byte| mask[(at + byte) % 4]);
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = part.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
