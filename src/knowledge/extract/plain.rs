//! Plain text: its encoding, and how all extracted text is tidied.

use crate::domain::clean;

/// A text of whatever encoding its first bytes tell; without such a mark it is UTF-8.
pub fn text(file: &[u8]) -> String {
    let wide = |rest: &[u8], order: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.as_chunks::<2>().0.iter().map(|two| order(*two)).collect();
        String::from_utf16_lossy(&units)
    };
    match file {
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        all => String::from_utf8_lossy(all).into_owned(),
    }
}

/// Without control characters, without white space at the ends of lines, without several empty lines in a row.
pub fn tidy(text: &str) -> String {
    let mut tidied = String::with_capacity(text.len());
    let mut empty = 0;
    for line in clean(text).lines().map(str::trim_end) {
        if line.is_empty() {
            empty += 1;
            continue;
        }
        if !tidied.is_empty() {
            tidied.push_str(if empty > 0 { "\n\n" } else { "\n" });
        }
        empty = 0;
        tidied.push_str(line);
    }
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_by_their_marks() {
        assert_eq!(text(b"\xEF\xBB\xBFa\xC3\xA9"), "aé");
        assert_eq!(text(b"\xFF\xFEa\0\xE9\0"), "aé");
        assert_eq!(text(b"\xFE\xFF\0a\0\xE9"), "aé");
        assert_eq!(text(b"a\xFF"), "a\u{FFFD}");
    }

    #[test]
    fn text_is_tidied() {
        assert_eq!(tidy("\n\na \r\n\n\n\nb\tc\0\nd\n"), "a\n\nb\tc\nd");
    }
}
