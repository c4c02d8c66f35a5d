//! Every rule finds what breaks it and nothing else, and a long history is made short.

use std::time::Duration;

use super::*;

/// A history, a line each: who, and what.
#[derive(Default)]
struct Story(Vec<Record>);

impl Story {
    fn add(mut self, who: &str, what: What) -> Self {
        let at = Duration::from_millis(self.0.len() as u64);
        self.0.push(Record { at, who: who.into(), conversation: 0, what });
        self
    }

    /// Somebody sends, is acknowledged, and a follower is told.
    fn said(self, id: i64, text: &str) -> Self {
        let deed = Deed::Send(text.to_owned());
        self.add("ana", What::Tries(deed.clone())).add("ana", What::Done(deed, id.to_string())).told(id, text)
    }

    fn told(self, id: i64, text: &str) -> Self {
        let said = said(text);
        self.add("bea", What::Told(id, Change::Sent(id.to_string(), said)))
    }

    fn listed(self, messages: &[(i64, &str)]) -> Self {
        let view = messages.iter().map(|(id, text)| (id.to_string(), said(text))).collect();
        self.add("node 0", What::Listed(view))
    }

    fn rules(&self) -> Vec<&'static str> {
        let mut rules: Vec<_> = audit(&self.0).iter().map(|finding| finding.rule).collect();
        rules.dedup();
        rules
    }
}

fn said(text: &str) -> Said {
    Said { text: text.to_owned(), ..Said::default() }
}

fn start() -> Story {
    Story::default().add("bea", What::Comes("stream", 0))
}

fn send(text: &str) -> Deed {
    Deed::Send(text.to_owned())
}

#[test]
fn what_is_right_is_not_found() {
    let edit = Deed::Edit("2".to_owned(), "two".to_owned());
    let story = start()
        .said(1, "one")
        .said(2, "to")
        .add("ana", What::Tries(edit.clone()))
        .add("ana", What::Done(edit, "2".to_owned()))
        .add("bea", What::Told(3, Change::Edited("2".to_owned(), "two".to_owned())))
        .add("ana", What::Tries(send("unknown")))
        .add("ana", What::GivesUp(send("unknown")))
        .told(4, "unknown")
        .listed(&[(1, "one"), (2, "two"), (4, "unknown")])
        .listed(&[(1, "one"), (2, "two"), (4, "unknown")]);
    assert_eq!(audit(&story.0), []);
}

#[test]
fn each_rule_finds_what_breaks_it() {
    let delete = Deed::Delete("1".to_owned());
    let react = Deed::React("1".to_owned(), "🌱".to_owned());
    for (wanted, story) in [
        ("an acknowledged message exists", start().said(1, "one").listed(&[])),
        ("a message exists once", start().said(1, "one").told(2, "one").listed(&[(1, "one"), (2, "one")])),
        ("a message says what its author said last", start().said(1, "one").listed(&[(1, "two")])),
        (
            "a follower misses nothing acknowledged",
            start().said(1, "one").add("cy", What::Comes("poll", 1)).listed(&[(1, "one")]),
        ),
        (
            "a follower misses nothing",
            start().add("ana", What::Tries(send("one"))).add("cy", What::Comes("poll", 1)).listed(&[(1, "one")]),
        ),
        (
            "a follower is shown nothing that is not there",
            start().add("ana", What::Tries(send("lost"))).told(1, "lost").listed(&[]),
        ),
        ("nothing is shown that nobody said", start().told(1, "ghost").listed(&[])),
        ("a message is shown once", start().said(1, "one").told(1, "one").listed(&[(1, "one")])),
        ("told once, and in order", start().said(2, "two").said(1, "one").listed(&[(1, "one"), (2, "two")])),
        ("numbers grow", start().said(2, "two").said(1, "one").listed(&[(1, "one"), (2, "two")])),
        ("nodes show the same", start().said(1, "one").listed(&[(1, "one")]).listed(&[])),
        ("a client's deed was refused", start().add("ana", What::Refused(send("no"), 422, String::new()))),
        ("a cursor of this server was not taken", start().add("bea", What::Reset)),
        (
            "a deleted message is gone",
            start()
                .said(1, "one")
                .add("ana", What::Tries(delete.clone()))
                .add("ana", What::Done(delete, "1".to_owned()))
                .listed(&[(1, "one")]),
        ),
        (
            "an acknowledged reaction is there",
            start().said(1, "one").add("ana", What::Done(react, "1".to_owned())).listed(&[(1, "one")]),
        ),
        (
            "a message is acknowledged to one sender",
            start().said(1, "one").add("ana", What::Done(send("two"), "1".to_owned())).listed(&[(1, "one")]),
        ),
    ] {
        assert!(story.rules().contains(&wanted), "{wanted}: {:?}", story.rules());
    }
}

#[test]
fn a_long_history_is_made_short() {
    let mut story = start();
    let mut all = Vec::new();
    let texts: Vec<_> = (1..=300).map(|id| format!("text {id}")).collect();
    for (id, text) in (1..=300).zip(&texts) {
        story = story.said(id, text);
        all.push((id, text.as_str()));
    }
    // One that somebody was told of twice.
    story = story.told(301, &texts[149]).listed(&all);
    let findings = audit(&story.0);
    let finding = findings.iter().find(|finding| finding.rule == "a follower is shown nothing that is not there");
    let short = shortest(&story.0, finding.expect("it is found"));
    assert!(audit(&short).iter().any(|other| other.rule == finding.unwrap().rule), "{short:?}");
    assert!(short.len() <= 3, "{short:?}");
}
