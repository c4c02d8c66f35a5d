//! Searching text in any letter case, however its letters are spelled. Every engine compares with this and not with
//! what its database takes for the same letter: all of them find the same.
//!
//! Both sides are brought to one form. What people say is stored in it, but a visitor's name or an assistant's answer
//! as it came, and a keyboard may well make a letter and its accents apart.

use unicode_normalization::char::is_combining_mark;

use crate::domain::{UserId, clean};

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
