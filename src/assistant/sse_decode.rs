//! Server-sent events, as the HTML standard reads them (section 9.2.6), without I/O. Two things are stricter than there:
//! what is too large, and what is no UTF-8, is an error. An answer is kept as it came or not at all; nobody wants one
//! with characters in it that nobody sent.

use std::mem;

use memchr::memchr2;

/// One event that carries data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its kind; empty when it names none.
    pub kind: &'a str,
    /// Its data.
    pub data: &'a str,
}

/// Why no more can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// An event, or a line, is larger than allowed.
    TooLarge,
    /// An event is no UTF-8.
    NotUtf8,
}

/// Reads events from bytes that arrive in pieces of any size.
#[derive(Debug)]
pub struct Decoder {
    bytes_max: usize,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    kind: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// Whether nothing has been read: a byte order mark may come.
    is_first: bool,
    /// Whether the last byte was a carriage return, which a line feed may follow.
    after_return: bool,
}

/// The mark that a stream may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl Decoder {
    /// A decoder that keeps at most about `bytes_max` bytes of a line, and of an event.
    pub fn new(bytes_max: usize) -> Self {
        let (line, kind, data) = (Vec::new(), Vec::new(), Vec::new());
        Self { bytes_max, line, kind, data, has_data: false, is_first: true, after_return: false }
    }

    /// Bytes that are kept for what has not come yet.
    pub fn kept(&self) -> usize {
        self.line.len() + self.kind.len() + self.data.len()
    }

    /// Reads more, and says which events are complete now. What is not complete at the end of the stream is none: the
    /// standard has it thrown away.
    ///
    /// # Errors
    /// When what came is no event stream that is taken; nothing may be fed after that.
    pub fn feed(&mut self, mut bytes: &[u8], hear: &mut dyn FnMut(Event<'_>)) -> Result<(), Violation> {
        if mem::take(&mut self.after_return) && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = memchr2(b'\n', b'\r', bytes) {
            self.end_line(&bytes[..end], hear)?;
            let (is_return, rest) = (bytes[end] == b'\r', &bytes[end + 1..]);
            self.after_return = is_return && rest.is_empty();
            bytes = if is_return { rest.strip_prefix(b"\n").unwrap_or(rest) } else { rest };
        }
        self.keep(bytes)
    }

    fn keep(&mut self, rest: &[u8]) -> Result<(), Violation> {
        if self.line.len() + rest.len() > self.bytes_max {
            return Err(Violation::TooLarge);
        }
        self.line.extend_from_slice(rest);
        Ok(())
    }

    fn end_line(&mut self, rest: &[u8], hear: &mut dyn FnMut(Event<'_>)) -> Result<(), Violation> {
        if self.line.is_empty() && rest.len() <= self.bytes_max {
            return self.read_line(rest, hear);
        }
        self.keep(rest)?;
        let mut line = mem::take(&mut self.line);
        let read = self.read_line(&line, hear);
        line.clear();
        self.line = line;
        read
    }

    fn read_line(&mut self, line: &[u8], hear: &mut dyn FnMut(Event<'_>)) -> Result<(), Violation> {
        let is_first = mem::take(&mut self.is_first);
        let line = if is_first { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
        if line.is_empty() {
            return self.dispatch(hear);
        }
        let colon = memchr::memchr(b':', line);
        let (name, value) = colon.map_or((line, &[][..]), |at| (&line[..at], &line[at + 1..]));
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"event" => {
                self.kind.clear();
                self.kind.extend_from_slice(value);
            }
            b"data" => self.add(value)?,
            // `id` and `retry` are for who comes back, which no answer allows; a line that begins with a colon is a
            // comment.
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.data.len() + value.len() + 1 > self.bytes_max {
            return Err(Violation::TooLarge);
        }
        if mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        Ok(())
    }

    /// An empty line: the event is complete. Without data it is none.
    fn dispatch(&mut self, hear: &mut dyn FnMut(Event<'_>)) -> Result<(), Violation> {
        if mem::take(&mut self.has_data) {
            let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Violation::NotUtf8);
            hear(Event { kind: text(&self.kind)?, data: text(&self.data)? });
        }
        self.kind.clear();
        self.data.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The events of bytes that arrive in pieces of that size.
    fn read(bytes: &[u8], step: usize, max: usize) -> (Vec<(String, String)>, Result<(), Violation>) {
        let (mut decoder, mut heard) = (Decoder::new(max), Vec::new());
        for piece in bytes.chunks(step) {
            let fed = decoder.feed(piece, &mut |event| heard.push((event.kind.to_owned(), event.data.to_owned())));
            if fed.is_err() {
                return (heard, fed);
            }
        }
        (heard, Ok(()))
    }

    fn whole(text: &str) -> Vec<(String, String)> {
        let (heard, end) = read(text.as_bytes(), text.len().max(1), 1000);
        assert_eq!(end, Ok(()));
        heard
    }

    fn event(kind: &str, data: &str) -> (String, String) {
        (kind.to_owned(), data.to_owned())
    }

    /// The examples of the standard, section 9.2.6.
    #[test]
    fn the_standards_examples() {
        assert_eq!(whole("data: YHOO\ndata: +2\ndata: 10\n\n"), [event("", "YHOO\n+2\n10")]);
        let stream = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
        assert_eq!(whole(stream), [event("", "first event"), event("", "second event"), event("", " third event")]);
        assert_eq!(whole("data\n\ndata\ndata\n\ndata:"), [event("", ""), event("", "\n")]);
        assert_eq!(whole("data:test\n\ndata: test\n\n"), [event("", "test"), event("", "test")]);
    }

    #[test]
    fn lines_end_as_they_like() {
        let want = [event("ping", "{}"), event("", "a\nb")];
        for end in ["\n", "\r", "\r\n"] {
            let stream = ["event: ping", "data: {}", "", "data: a", "data: b", "", ""].join(end);
            assert_eq!(whole(&stream), want, "{end:?}");
        }
    }

    #[test]
    fn a_kind_is_of_one_event() {
        assert_eq!(whole("event: a\n\ndata: x\n\nevent: b\nevent: c\ndata: y\n\n"), [event("", "x"), event("c", "y")]);
    }

    #[test]
    fn a_byte_order_mark_is_of_the_beginning_only() {
        assert_eq!(whole("\u{FEFF}data: x\n\n\u{FEFF}data: y\n\n"), [event("", "x")]);
    }

    #[test]
    fn half_a_character_is_refused() {
        let half = b"data: ch\xC3\n\n";
        assert_eq!(read(half, 100, 100), (Vec::new(), Err(Violation::NotUtf8)));
        // Cut in its middle by the network, it is whole.
        assert_eq!(read("data: chà\n\n".as_bytes(), 9, 100).0, [event("", "chà")]);
    }

    #[test]
    fn what_is_too_large_is_refused_in_time() {
        let endless = vec![b'a'; 10 << 20];
        let mut decoder = Decoder::new(1000);
        let fed = endless.chunks(400).map(|piece| decoder.feed(piece, &mut |_| {})).position(|fed| fed.is_err());
        assert_eq!(fed, Some(2));
        let many = "data: 0123456789\n".repeat(100);
        assert_eq!(read(many.as_bytes(), 1 << 20, 1000).1, Err(Violation::TooLarge));
    }

    proptest! {
        #[test]
        fn a_cut_changes_nothing(
            lines in proptest::collection::vec("(data|event|id|:|)(: ?)?[a-zéや\u{FEFF}]{0,5}(\n|\r|\r\n|\n\n)", 0..30),
            step in 1_usize..20,
        ) {
            let text = lines.concat();
            prop_assert_eq!(read(text.as_bytes(), step, 200), read(text.as_bytes(), text.len().max(1), 200));
        }

        #[test]
        fn what_is_sent_is_heard(texts in proptest::collection::vec("[^\r\n]{0,40}", 0..10)) {
            let stream: String = texts.iter().map(|text| format!("data: {text}\n\n")).collect();
            let heard: Vec<_> = read(stream.as_bytes(), 7, 1000).0.into_iter().map(|(_, data)| data).collect();
            prop_assert_eq!(heard, texts);
        }
    }
}
