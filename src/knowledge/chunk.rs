//! Cutting a text into chunks: small enough to say one thing, and each with the end of the one before it, so that what
//! stands at a cut is whole in one of them.

/// How large chunks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Characters of a chunk at the most; at least 1.
    pub chars: usize,
    /// Characters of the one before that a chunk repeats at the most; less than half of `chars`.
    pub overlap: usize,
}

/// The chunks of a text, in order. A cut is made behind a paragraph where there is one in the chunk's second half, else
/// behind a line, a sentence, a word, and only then anywhere.
pub fn cut(text: &str, sizes: Sizes) -> Vec<String> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let (size, overlap) = (sizes.chars.max(1), sizes.overlap.min(sizes.chars.max(1) / 2));
    let mut chunks = Vec::new();
    let mut start = 0;
    while start < chars.len() {
        let full = start + size;
        let end = if full >= chars.len() { chars.len() } else { best_cut(&chars, start + size / 2, full) };
        let piece = slice(text, &chars, start, end).trim();
        if !piece.is_empty() {
            chunks.push(piece.to_owned());
        }
        if end == chars.len() {
            break;
        }
        start = beginning(&chars, end.saturating_sub(overlap).max(start + 1), end);
    }
    chunks
}

fn slice<'a>(text: &'a str, chars: &[(usize, char)], start: usize, end: usize) -> &'a str {
    let at = |n: usize| chars.get(n).map_or(text.len(), |(at, _)| *at);
    &text[at(start)..at(end)]
}

/// Whether a text can be cut at a place.
type Cut = fn(&[(usize, char)], usize) -> bool;

/// The last good place to cut between two places, by character; the second when there is none.
fn best_cut(chars: &[(usize, char)], from: usize, to: usize) -> usize {
    let kinds: [Cut; 4] = [is_paragraph, is_line, is_sentence, is_word];
    kinds.iter().find_map(|is_cut| (from + 1..=to).rev().find(|at| is_cut(chars, *at))).unwrap_or(to)
}

/// Where a chunk begins that repeats at most what stands between two places: at a sentence, else at a word.
fn beginning(chars: &[(usize, char)], from: usize, to: usize) -> usize {
    let begins = |is_cut: Cut| (from..to).find(|at| is_cut(chars, *at));
    begins(is_line).or_else(|| begins(is_sentence)).or_else(|| begins(is_word)).unwrap_or(to)
}

fn before(chars: &[(usize, char)], at: usize, back: usize) -> Option<char> {
    Some(chars.get(at.checked_sub(back)?)?.1)
}

fn is_paragraph(chars: &[(usize, char)], at: usize) -> bool {
    before(chars, at, 1) == Some('\n') && before(chars, at, 2) == Some('\n')
}

fn is_line(chars: &[(usize, char)], at: usize) -> bool {
    before(chars, at, 1) == Some('\n')
}

/// Behind a full stop and a space; those of scripts without spaces need none.
fn is_sentence(chars: &[(usize, char)], at: usize) -> bool {
    let last = before(chars, at, 1);
    matches!(last, Some('。' | '！' | '？'))
        || (last.is_some_and(char::is_whitespace) && matches!(before(chars, at, 2), Some('.' | '!' | '?' | '…' | ':')))
}

fn is_word(chars: &[(usize, char)], at: usize) -> bool {
    before(chars, at, 1).is_some_and(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cuts_are_made_where_a_reader_would_make_them() {
        let text = "One two three. Four five six.\n\nSeven eight nine ten. Eleven.";
        assert_eq!(
            cut(text, Sizes { chars: 36, overlap: 0 }),
            ["One two three. Four five six.", "Seven eight nine ten. Eleven."]
        );
        assert_eq!(
            cut(text, Sizes { chars: 31, overlap: 15 }),
            ["One two three. Four five six.", "Seven eight nine ten. Eleven."],
            "what a paragraph says is not repeated before the next"
        );
        assert_eq!(cut("abcdefgh", Sizes { chars: 3, overlap: 1 }), ["abc", "def", "gh"]);
        assert!(cut(" \n ", Sizes { chars: 3, overlap: 1 }).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_chunk_is_too_large(text in "[a-c .\\n東。é]{0,200}", chars in 1_usize..40, overlap in 0_usize..30) {
            let chunks = cut(&text, Sizes { chars, overlap });
            let mut rest = text.as_str();
            for chunk in &chunks {
                prop_assert!(chunk.chars().count() <= chars);
                prop_assert!(text.contains(chunk.as_str()));
            }
            // Each chunk's end is found behind the ends of those before it; between them there is only white space.
            let mut at = 0;
            for chunk in &chunks {
                let found = (0..=at).rev().filter(|start| text.is_char_boundary(*start))
                    .find(|start| text[*start..].trim_start().starts_with(chunk.as_str()));
                let start = found.expect("a chunk begins at or before the end of the one before");
                let skipped = text[start..].len() - text[start..].trim_start().len();
                at = at.max(start + skipped + chunk.len());
                rest = &text[at..];
            }
            prop_assert!(rest.trim().is_empty(), "{rest:?} is left of {text:?}: {chunks:?}");
        }
    }
}
