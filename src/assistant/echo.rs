//! The assistant that needs nothing: it says what was said.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::{Answer, Ask, Line, Part, Provider};
use crate::domain::Role;

/// Answers `Echo: <message>`, word by word, and goes on where an answer ends that was begun. The production default, and
/// the tests' double.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    /// How long it thinks before each word.
    pub pause: Duration,
}

impl Provider for Echo {
    fn name(&self) -> &str {
        "echo"
    }

    fn answer(&self, ask: Ask) -> Answer {
        let pause = self.pause;
        let words = stream::iter(words(&said(&ask.lines)));
        Box::pin(words.then(move |word| async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            Ok(Part::Text(word))
        }))
    }
}

/// What it says to those lines: where the last one is the beginning of its answer to the one before, the rest of that.
fn said(lines: &[Line]) -> String {
    if let [.., asked, begun] = lines
        && begun.role == Role::Assistant
        && let Some(rest) = echo(asked).strip_prefix(begun.text.as_str())
    {
        return rest.to_owned();
    }
    lines.last().map(echo).unwrap_or_default()
}

fn echo(asked: &Line) -> String {
    format!("Echo: {}", asked.text)
}

/// Cuts behind each run of white space, so that the pieces joined are the text.
fn words(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(space) = rest.find(char::is_whitespace) {
        let end = rest[space..].find(|c: char| !c.is_whitespace()).map_or(rest.len(), |next| space + next);
        pieces.push(rest[..end].to_owned());
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        pieces.push(rest.to_owned());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Line, Role, said, words};

    fn line(role: Role, text: &str) -> Line {
        Line { role, text: text.to_owned() }
    }

    #[test]
    fn a_piece_is_a_word_with_the_space_behind_it() {
        assert_eq!(words("Echo: Xin  chào\nbạn"), ["Echo: ", "Xin  ", "chào\n", "bạn"]);
    }

    #[test]
    fn what_is_no_beginning_of_its_answer_is_answered() {
        for (lines, want) in [
            (vec![line(Role::User, "hi"), line(Role::Assistant, "Hello")], "Echo: Hello"),
            (vec![line(Role::User, "hi"), line(Role::User, "Echo: ")], "Echo: Echo: "),
            (vec![line(Role::Assistant, "Echo: ")], "Echo: Echo: "),
        ] {
            assert_eq!(said(&lines), want);
        }
    }

    proptest! {
        #[test]
        fn pieces_joined_are_the_text(text in any::<String>()) {
            prop_assert_eq!(words(&text).concat(), text);
        }

        #[test]
        fn an_answer_that_was_begun_anywhere_is_whole_with_its_rest(text in any::<String>(), cut in any::<prop::sample::Index>()) {
            let question = line(Role::User, &text);
            let whole = said(std::slice::from_ref(&question));
            let cuts: Vec<_> = (0..=whole.len()).filter(|at| whole.is_char_boundary(*at)).collect();
            let begun = &whole[..*cut.get(&cuts)];
            let rest = said(&[line(Role::Assistant, "before"), question, line(Role::Assistant, begun)]);
            prop_assert_eq!(format!("{begun}{rest}"), whole);
        }
    }
}
