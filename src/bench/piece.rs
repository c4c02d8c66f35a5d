//! The pieces of text that the provider of the profile `runs` sends: each tells its number and when it was sent, so that
//! whoever reads a text knows that it is whole, in order, and how long it was on its way.

use crate::domain::Timestamp;
use crate::error::{Error, Result};

/// How long each is, in bytes: about what a provider sends at once. Nothing in it has to be escaped in JSON.
pub const LENGTH: usize = 32;

/// How the questions of the profile begin; the number of the run comes next.
pub const QUESTION: &str = "bench run ";

/// The question of a run.
pub fn question(run: usize) -> String {
    format!("{QUESTION}{run:06}")
}

/// Which run a request asks for.
pub fn run_of(body: &[u8]) -> Option<usize> {
    let start = memchr::memmem::rfind(body, QUESTION.as_bytes())? + QUESTION.len();
    number(body.get(start..start + 6)?).and_then(|run| usize::try_from(run).ok())
}

/// A piece.
pub fn text(number: usize, at: Timestamp) -> String {
    format!("@{number:06}:{:017} words.", at.0)
}

/// The piece that has to be the next, and when it was sent.
///
/// # Errors
/// When it is another one, or none.
pub fn read(piece: &[u8], next: usize) -> Result<Timestamp> {
    let wrong = || {
        let found = String::from_utf8_lossy(piece);
        Error::internal(format!("piece {next} was next, and this came: {found:?}"))
    };
    if piece.len() != LENGTH || piece[0] != b'@' || &piece[25..] != b" words." {
        return Err(wrong());
    }
    let found = number(&piece[1..7]).and_then(|found| usize::try_from(found).ok());
    let at = number(&piece[8..25]).filter(|_| found == Some(next) && piece[7] == b':');
    at.map(Timestamp).ok_or_else(wrong)
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_known_again() {
        let at = Timestamp(1_767_323_045_000_123);
        let piece = text(7, at);
        assert_eq!(piece.len(), LENGTH);
        assert_eq!(read(piece.as_bytes(), 7).unwrap(), at);
        assert!(read(piece.as_bytes(), 8).is_err() && read(&piece.as_bytes()[1..], 7).is_err());
        assert!(read(piece.replace('@', "x").as_bytes(), 7).is_err());
        assert_eq!(run_of(format!(r#"{{"content":"{}"}}"#, question(17)).as_bytes()), Some(17));
        assert_eq!(run_of(b"bench run 12"), None);
    }
}
