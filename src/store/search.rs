//! Searching text in any letter case, however its letters are spelled. Every engine compares with this and not with
//! what its database takes for the same letter: all of them find the same.
//!
//! Both sides are brought to one form. What people say is stored in it, but a visitor's name or an assistant's answer
//! as it came, and a keyboard may well make a letter and its accents apart.

use unicode_normalization::char::{decompose_canonical, is_combining_mark};

use super::common_words::is_common;
use super::knowledge::QUERY_WORDS_MAX;
use crate::domain::{PlatformId, UserId, clean};

/// A text without its letter case, clean as a message's.
pub(super) fn folded(text: &str) -> String {
    clean(text).to_lowercase()
}

/// A user's mark before each word that they may find: their number in the letters a to j and a z. No mark is the
/// beginning of another one, so no word of one user looks like another's.
pub(super) fn mark_of(user: UserId) -> String {
    let digits = user.0.unsigned_abs().to_string();
    digits.bytes().map(|digit| char::from(digit - b'0' + b'a')).chain(['z']).collect()
}

/// The words of a [`folded`] text.
pub(super) fn words(folded: &str) -> impl Iterator<Item = &str> {
    folded.split(|c: char| !c.is_alphanumeric() && !is_combining_mark(c)).filter(|word| !word.is_empty())
}

/// The longest word, in bytes: no language has longer ones, and an index has its bounds.
const WORD_BYTES_MAX: usize = 64;

/// A word without the accents of its Latin letters. Other scripts keep theirs: there they tell letters apart.
fn bare(word: &str) -> String {
    let mut bare = String::with_capacity(word.len());
    for c in word.chars().filter(|c| !('\u{300}'..='\u{331}').contains(c)) {
        let mut base = None;
        decompose_canonical(c, |part| {
            base.get_or_insert(part);
        });
        bare.push(base.filter(char::is_ascii_alphabetic).unwrap_or(c));
    }
    bare.truncate(bare.floor_char_boundary(WORD_BYTES_MAX));
    bare
}

/// Whether words of that script are written without spaces between them.
fn is_run_on(c: char) -> bool {
    matches!(c, '\u{E00}'..='\u{E7F}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{3FFFF}')
}

/// What a chunk is found by, in its order: its words without letter case and Latin accents, each behind its tenant's
/// mark. Of scripts that leave no space between words: every two letters that stand together.
pub(super) fn terms(platform: Option<PlatformId>, text: &str) -> Vec<String> {
    let mark = mark_of(UserId(platform.map_or(0, |platform| platform.0)));
    let mut terms = Vec::new();
    for word in words(&folded(text)) {
        if word.chars().any(is_run_on) {
            terms.extend(pairs(word).map(|pair| format!("{mark}{pair}")));
        } else {
            let word = singular(bare(word));
            if !word.is_empty() {
                terms.push(format!("{mark}{word}"));
            }
        }
    }
    terms
}

/// A word without the end of an English plural, or what looks like one: both sides are cut the same way.
fn singular(mut word: String) -> String {
    if word.len() > 4 && word.ends_with("ies") {
        word.truncate(word.len() - 3);
        word.push('y');
    } else if word.len() > 3 && word.ends_with('s') && !word.ends_with("ss") {
        word.pop();
    }
    word
}

/// Every two letters that stand together; a single one alone.
fn pairs(word: &str) -> impl Iterator<Item = &str> {
    let starts: Vec<usize> = word.char_indices().map(|(at, _)| at).chain([word.len()]).collect();
    let last = starts.len().saturating_sub(3);
    (0..=last).map(move |n| &word[starts[n]..starts[(n + 2).min(starts.len() - 1)]])
}

/// The different words of a question, in the order of the question: without the common ones, unless it has no others.
pub(super) fn query_terms(platform: Option<PlatformId>, text: &str) -> Vec<String> {
    let telling: Vec<String> = words(&folded(text)).filter(|word| !is_common(&bare(word))).map(str::to_owned).collect();
    let text = if telling.is_empty() { text.to_owned() } else { telling.join(" ") };
    let mut different = Vec::new();
    for term in terms(platform, &text) {
        if !different.contains(&term) {
            different.push(term);
        }
        if different.len() == QUERY_WORDS_MAX {
            break;
        }
    }
    different
}

/// Which words of a question to look for, given how many chunks hold each: the rarest first, until together more
/// than `budget` chunks hold them, but always the rarest one.
pub(super) fn chosen(mut counted: Vec<(String, u64)>, budget: u64) -> Vec<(String, u64)> {
    counted.retain(|(_, total)| *total > 0);
    counted.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    let mut spent = 0_u64;
    let within = |(n, (_, total)): &(usize, (String, u64))| {
        spent += total;
        *n == 0 || spent <= budget
    };
    counted.into_iter().enumerate().take_while(within).map(|(_, word)| word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_folded_words_with_their_tenants_mark() {
        assert_eq!(terms(None, "Đà Nẵng, CAFÉ cafe\u{301}!"), ["azđa", "aznang", "azcafe", "azcafe"]);
        assert_eq!(terms(Some(PlatformId(12)), "It's"), ["bczit", "bczs"]);
        assert_eq!(terms(None, "東京都 京"), ["az東京", "az京都", "az京"]);
        assert_eq!(terms(None, "हिन्दी"), ["azहिन्दी"]);
        assert_eq!(terms(None, "batteries plugs glass is"), ["azbattery", "azplug", "azglass", "azis"]);
    }

    #[test]
    fn common_words_are_left_out_of_a_question_that_has_others() {
        assert_eq!(query_terms(None, "How do I clean the probes, the Probe?"), ["azclean", "azprobe"]);
        assert_eq!(query_terms(None, "Who is it?"), ["azwho", "azis", "azit"]);
    }

    #[test]
    fn rare_words_are_looked_for_first_and_common_ones_only_where_there_is_room() {
        let counted = |counts: &[(&str, u64)]| counts.iter().map(|(word, n)| ((*word).to_owned(), *n)).collect();
        let names = |chosen: Vec<(String, u64)>| chosen.into_iter().map(|(word, _)| word).collect::<Vec<_>>();
        assert_eq!(names(chosen(counted(&[("the", 900), ("kite", 3), ("of", 95), ("no", 0)]), 100)), ["kite", "of"]);
        assert_eq!(names(chosen(counted(&[("the", 900), ("of", 950)]), 100)), ["the"]);
        assert!(chosen(counted(&[("no", 0)]), 100).is_empty());
    }
}
