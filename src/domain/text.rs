//! Text that people send, legal by construction.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// What is wrong with a text; the limits travel with it so that each dialect can word it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextError {
    /// Nothing is left after trimming.
    Empty,
    /// More characters than the limit in `max`.
    TooLong {
        /// The limit, in characters.
        max: usize,
    },
}

/// A message's text: NFC, without control characters (newline and tab stay) and without the
/// characters that reorder a line behind the reader's back, trimmed, not empty, within its limit.
///
/// It is stored as typed and never escaped: whoever renders it escapes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageText(String);

impl MessageText {
    /// Cleans `raw` and checks its length in characters (Unicode scalar values).
    ///
    /// # Errors
    /// [`TextError::Empty`] or [`TextError::TooLong`].
    pub fn parse(raw: &str, max: usize) -> Result<Self, TextError> {
        let text = clean(raw);
        let text = text.trim();
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        // A byte length within the limit proves the length in characters without counting.
        if text.len() > max && text.chars().count() > max {
            return Err(TextError::TooLong { max });
        }
        Ok(Self(text.to_owned()))
    }

    /// The text of an assistant's answer or of a line that Roost itself writes: taken as it is,
    /// because it must equal byte for byte what was streamed.
    pub fn verbatim(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Normalises to NFC, turns CRLF and CR into newlines and drops what no chat line may hold.
pub fn clean(raw: &str) -> String {
    let unix = if raw.contains('\r') { raw.replace("\r\n", "\n").replace('\r', "\n") } else { raw.to_owned() };
    let kept = if unix.chars().any(is_dropped) { unix.chars().filter(|c| !is_dropped(*c)).collect() } else { unix };
    match is_nfc_quick(kept.chars()) {
        IsNormalized::Yes => kept,
        _ => kept.nfc().collect(),
    }
}

/// One line: as `clean`, with spaces where lines or columns ended, trimmed. For names, which end up
/// in letters' headers and in lists.
pub fn clean_line(raw: &str) -> String {
    clean(raw).replace(['\n', '\t'], " ").trim().to_owned()
}

/// C0 and C1 controls but newline and tab, and the bidirectional overrides, embeddings and
/// isolates of UAX #9, which can make a line read as something else ("Trojan Source",
/// CVE-2021-42574).
fn is_dropped(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    }
}

/// A JSON value that passes through Roost unread, kept as its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json(pub String);

impl Json {
    /// `{}`.
    pub fn empty_object() -> Self {
        Self("{}".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cleaning_keeps_what_people_type() {
        for (raw, want) in [
            ("Xin chào", "Xin chào"),
            ("  two\r\nlines\t ", "two\nlines"),
            ("a\0b\u{7}c\u{85}d", "abcd"),
            ("\u{202E}evil\u{2069}", "evil"),
            ("e\u{301}", "é"),
            ("👩‍👩‍👧", "👩‍👩‍👧"),
        ] {
            assert_eq!(MessageText::parse(raw, 100).unwrap().as_str(), want);
        }
    }

    #[test]
    fn length_is_counted_in_characters_after_trimming() {
        assert!(MessageText::parse(&"é".repeat(1000), 1000).is_ok());
        assert!(MessageText::parse(&format!(" {} ", "x".repeat(1000)), 1000).is_ok());
        assert_eq!(MessageText::parse(&"é".repeat(1001), 1000), Err(TextError::TooLong { max: 1000 }));
        for raw in ["", "  \n\t ", "\0\0"] {
            assert_eq!(MessageText::parse(raw, 1000), Err(TextError::Empty));
        }
    }

    proptest! {
        #[test]
        fn a_parsed_text_parses_to_itself(raw in any::<String>()) {
            if let Ok(text) = MessageText::parse(&raw, 1000) {
                prop_assert!(!text.as_str().chars().any(is_dropped));
                prop_assert_eq!(MessageText::parse(text.as_str(), 1000), Ok(text.clone()));
            }
        }
    }
}
