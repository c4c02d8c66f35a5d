//! Searching text in any letter case, however its letters are spelled.
//!
//! Both sides are brought to one form. What people say is stored in it, but a visitor's name or an assistant's answer as
//! it came, and a keyboard may well make a letter and its accents apart.

use crate::domain::clean;

/// A text without its letter case, clean as a message's.
pub(in crate::store) fn folded(text: &str) -> String {
    clean(text).to_lowercase()
}
