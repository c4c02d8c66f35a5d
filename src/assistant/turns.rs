//! What was said, in the form that providers take: who speaks alternates, and nobody says nothing. Templates of many
//! open models refuse a conversation otherwise, and Anthropic's messages refuse empty text.

use super::Line;
use crate::domain::Role;

/// Who speaks, to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    /// The operator.
    System,
    /// Whoever asks.
    User,
    /// Whoever answers: the assistant, and the staff, who speak for the same house.
    Assistant,
}

impl Speaker {
    /// Its name in both dialects.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }

    fn of(role: Role) -> Self {
        match role {
            Role::System => Self::System,
            Role::User => Self::User,
            Role::Assistant | Role::Staff => Self::Assistant,
        }
    }
}

/// The lines by turns: what the same one says twice is one turn of two paragraphs, blank lines are left out.
pub(super) fn turns(lines: &[Line]) -> Vec<(Speaker, String)> {
    let mut turns: Vec<(Speaker, String)> = Vec::with_capacity(lines.len());
    for line in lines.iter().filter(|line| !line.text.trim().is_empty()) {
        let speaker = Speaker::of(line.role);
        match turns.last_mut() {
            Some((last, said)) if *last == speaker => {
                said.push_str("\n\n");
                said.push_str(&line.text);
            }
            _ => turns.push((speaker, line.text.clone())),
        }
    }
    turns
}

/// What is said where an answer goes on that broke off. That a provider goes on from a beginning that it is given is a
/// habit of some; others refuse a conversation that ends with the assistant, or begin anew.
const GO_ON: &str = "(Your last message was cut off. Go on exactly where it ends, and repeat nothing of it.)";

/// The lines by turns, of which the last one asks for something.
pub(super) fn asked(lines: &[Line]) -> Vec<(Speaker, String)> {
    let mut turns = turns(lines);
    if turns.last().is_some_and(|(speaker, _)| *speaker == Speaker::Assistant) {
        turns.push((Speaker::User, GO_ON.to_owned()));
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speakers_alternate() {
        let line = |role, text: &str| Line { role, text: text.to_owned() };
        let lines = [
            line(Role::System, "be kind"),
            line(Role::User, "hello"),
            line(Role::User, " \n"),
            line(Role::User, "anybody?"),
            line(Role::Staff, "yes"),
            line(Role::Assistant, "also"),
            line(Role::User, "good"),
        ];
        let said = |speaker, text: &str| (speaker, text.to_owned());
        let want = [
            said(Speaker::System, "be kind"),
            said(Speaker::User, "hello\n\nanybody?"),
            said(Speaker::Assistant, "yes\n\nalso"),
            said(Speaker::User, "good"),
        ];
        assert_eq!(turns(&lines), want);
        assert_eq!(asked(&lines), want);
        assert_eq!(asked(&lines[..6])[..3], want[..3]);
        assert_eq!(asked(&lines[..6])[3], said(Speaker::User, GO_ON));
    }
}
