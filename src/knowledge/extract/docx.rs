//! The text of a word processor's document (ECMA-376): the paragraphs of `word/document.xml`.

use std::io::{BufReader, Cursor, Read};

use quick_xml::Reader;
use quick_xml::events::Event;
use zip::ZipArchive;
use zip::result::ZipError;

use super::Unreadable;

/// How much larger than its text a document's markup may be.
const MARKUP_FACTOR: u64 = 32;

/// What a reader sees, without headers, footers and notes.
pub fn text(file: &[u8], text_bytes: usize) -> Result<String, Unreadable> {
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(|_| Unreadable::Broken)?;
    let part = archive.by_name("word/document.xml").map_err(|error| match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => Unreadable::Locked,
        _ => Unreadable::Broken,
    })?;
    // What the archive says of the size is not to be trusted: what comes out is counted.
    let max = (text_bytes as u64).saturating_mul(MARKUP_FACTOR);
    let mut paragraphs = Paragraphs { text: String::new(), is_text: false };
    let mut reader = Reader::from_reader(BufReader::new(part.take(max)));
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Eof) => break,
            Ok(event) => paragraphs.read(&event),
            Err(_) if reader.buffer_position() >= max => return Err(Unreadable::TooLarge),
            Err(_) => return Err(Unreadable::Broken),
        }
        if paragraphs.text.len() > text_bytes {
            return Err(Unreadable::TooLarge);
        }
    }
    if reader.buffer_position() >= max { Err(Unreadable::TooLarge) } else { Ok(paragraphs.text) }
}

struct Paragraphs {
    text: String,
    /// Within an element that holds text.
    is_text: bool,
}

impl Paragraphs {
    fn read(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(tag) | Event::Empty(tag) => {
                self.is_text = matches!(event, Event::Start(_)) && tag.local_name().as_ref() == b"t";
                self.begin(tag.local_name().as_ref());
            }
            Event::End(tag) => {
                self.is_text = false;
                match tag.local_name().as_ref() {
                    b"p" => self.text.push_str("\n\n"),
                    b"tc" => self.text.push('\t'),
                    _ => {}
                }
            }
            Event::Text(said) if self.is_text => {
                self.text.push_str(&said.decode().unwrap_or_default());
            }
            Event::CData(said) if self.is_text => {
                self.text.push_str(&said.decode().unwrap_or_default());
            }
            Event::GeneralRef(name) if self.is_text => self.text.extend(referred(name)),
            _ => {}
        }
    }

    fn begin(&mut self, name: &[u8]) {
        match name {
            b"tab" => self.text.push('\t'),
            b"br" | b"cr" => self.text.push('\n'),
            _ => {}
        }
    }
}

/// The character of a reference; entities of a document's own are not looked up.
fn referred(name: &quick_xml::events::BytesRef<'_>) -> Option<char> {
    if let Ok(Some(c)) = name.resolve_char_ref() {
        return Some(c);
    }
    match &**name {
        b"amp" => Some('&'),
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        _ => None,
    }
}
