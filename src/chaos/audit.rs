//! Whether what the clients saw can be: rules over the history of one conversation, and the shortest part of a history
//! that still breaks one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::history::{Change, Deed, MessageName, Record, Said, View, What};

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub rule: &'static str,
    /// Who saw it.
    pub who: Arc<str>,
    /// The message concerned, if it is one.
    pub message: MessageName,
    /// More about it.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (seen by {}, message {}): {}", self.rule, self.who, self.message, self.detail)
    }
}

/// What is known of a conversation from its history.
#[derive(Default)]
struct Known<'a> {
    /// Texts that somebody tried to give a message.
    tried: BTreeSet<&'a str>,
    /// The text of an acknowledged message, and its name, in the order of the acknowledgements.
    acknowledged: Vec<(&'a str, &'a MessageName)>,
    /// Messages whose deletion was tried, and was acknowledged.
    deletions: BTreeSet<&'a str>,
    deleted: BTreeSet<&'a str>,
    /// Texts that a message may have by its edits.
    edits: BTreeMap<&'a str, Edits<'a>>,
    /// Reactions: tried, and acknowledged.
    reacted: Vec<(&'a MessageName, &'a str)>,
    listed: Vec<(&'a Arc<str>, &'a View)>,
}

#[derive(Default)]
struct Edits<'a> {
    last: Option<&'a str>,
    given_up: Vec<&'a str>,
}

/// Every broken rule in the history of one conversation.
pub fn audit(records: &[Record]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let known = known(records, &mut findings);
    order(records, &mut findings);
    for (node, view) in &known.listed {
        is_listed(&known, node, view, &mut findings);
    }
    if let Some((_, snapshot)) = known.listed.first() {
        let followers: BTreeSet<_> = records.iter().filter(|r| is_of_a_follower(r)).map(|r| &r.who).collect();
        for follower in followers {
            followed(records, follower, &known, snapshot, &mut findings);
        }
    }
    findings
}

fn is_of_a_follower(record: &Record) -> bool {
    matches!(record.what, What::Comes(..) | What::Told(..) | What::Reset)
}

fn known<'a>(records: &'a [Record], findings: &mut Vec<Finding>) -> Known<'a> {
    let mut known = Known::default();
    for record in records {
        let mut found = |rule, message: &str, detail: String| {
            findings.push(Finding { rule, who: Arc::clone(&record.who), message: message.to_owned(), detail });
        };
        match &record.what {
            What::Tries(Deed::Send(text) | Deed::Edit(_, text)) => {
                known.tried.insert(text);
            }
            What::Tries(Deed::Delete(message)) => {
                known.deletions.insert(message);
            }
            What::Done(Deed::Send(text), name) => known.acknowledged.push((text, name)),
            What::Done(Deed::Edit(message, text), _) => known.edits.entry(message).or_default().last = Some(text),
            What::Done(Deed::React(message, emoji), _) => known.reacted.push((message, emoji)),
            What::Done(Deed::Delete(message), _) => {
                known.deleted.insert(message);
            }
            What::GivesUp(Deed::Edit(message, text)) => known.edits.entry(message).or_default().given_up.push(text),
            What::Refused(deed, status, said) => {
                found("a client's deed was refused", "", format!("{deed:?}: {status} {said}"));
            }
            What::Reset => found("a cursor of this server was not taken", "", String::new()),
            What::Listed(view) => known.listed.push((&record.who, view)),
            _ => {}
        }
    }
    known
}

/// Numbers of messages grow: who sends after an acknowledgement gets a higher one.
fn order(records: &[Record], findings: &mut Vec<Finding>) {
    let (mut highest, mut before) = (0, BTreeMap::new());
    for record in records {
        match &record.what {
            What::Tries(Deed::Send(text)) => {
                before.insert(text, highest);
            }
            What::Done(Deed::Send(text), name) => {
                let Some(number) = number(name) else { continue };
                if before.get(text).is_some_and(|before| number <= *before) {
                    let detail = format!("{text:?} was begun after a higher one was acknowledged");
                    let who = Arc::clone(&record.who);
                    findings.push(Finding { rule: "numbers grow", who, message: name.clone(), detail });
                }
                highest = highest.max(number);
            }
            _ => {}
        }
    }
}

fn number(name: &str) -> Option<u64> {
    name.strip_prefix("msg_").unwrap_or(name).parse().ok()
}

/// What a node shows in the end.
fn is_listed(known: &Known<'_>, node: &Arc<str>, view: &View, findings: &mut Vec<Finding>) {
    let mut found = |rule, message: &str, detail: String| {
        findings.push(Finding { rule, who: Arc::clone(node), message: message.to_owned(), detail });
    };
    if let Some((other, first)) = known.listed.first().filter(|(_, first)| *first != view) {
        let differs = |name: &&MessageName| first.get(*name) != view.get(*name);
        let name = first.keys().chain(view.keys()).find(differs).cloned().unwrap_or_default();
        found("nodes show the same", &name, format!("{:?}, and {other}: {:?}", view.get(&name), first.get(&name)));
    }
    let mut names = BTreeMap::new();
    for (text, name) in &known.acknowledged {
        if let Some(other) = names.insert(*name, *text) {
            found("a message is acknowledged to one sender", name, format!("{text:?} and {other:?}"));
        }
        if !view.contains_key(*name) && !known.deletions.contains(name.as_str()) {
            found("an acknowledged message exists", name, format!("{text:?} is not there"));
        }
    }
    for name in known.deleted.iter().filter(|name| view.contains_key(**name)) {
        found("a deleted message is gone", name, String::new());
    }
    let mut texts = BTreeMap::new();
    for (name, said) in view {
        if let Some(other) = texts.insert(&said.text, name) {
            found("a message exists once", name, format!("{:?} is {other}, too", said.text));
        }
        if let Some(why) = wrong_text(known, name, said, &names) {
            found("a message says what its author said last", name, why);
        }
    }
    for (name, emoji) in &known.reacted {
        let has = view.get(*name).is_none_or(|said| said.reactions.iter().any(|(_, one)| one == emoji));
        if !has {
            found("an acknowledged reaction is there", name, format!("{emoji} is not"));
        }
    }
}

fn wrong_text(
    known: &Known<'_>,
    name: &MessageName,
    said: &Said,
    names: &BTreeMap<&MessageName, &str>,
) -> Option<String> {
    let text = said.text.as_str();
    if !known.tried.contains(text) {
        return Some(format!("{text:?}, which nobody said"));
    }
    let edits = known.edits.get(name.as_str());
    if edits.is_some_and(|edits| edits.given_up.contains(&text)) {
        return None;
    }
    let last = edits.and_then(|edits| edits.last).or_else(|| names.get(name).copied())?;
    (last != text).then(|| format!("{text:?} instead of {last:?}"))
}

/// What a follower was told, folded, and whether it is what is there.
fn followed(records: &[Record], follower: &Arc<str>, known: &Known<'_>, snapshot: &View, findings: &mut Vec<Finding>) {
    let mut found = |rule, message: &str, detail: String| {
        findings.push(Finding { rule, who: Arc::clone(follower), message: message.to_owned(), detail });
    };
    let (mut view, mut cursor, mut told) = (View::new(), 0, BTreeSet::new());
    for record in records.iter().filter(|record| record.who == *follower) {
        let What::Told(at, change) = &record.what else { continue };
        if *at <= cursor {
            found("told once, and in order", name(change), format!("{at} after {cursor}"));
        }
        cursor = *at;
        if let Change::Sent(message, said) = change {
            if !told.insert(message) {
                found("a message is shown once", message, format!("{:?}", said.text));
            }
            if !known.tried.contains(said.text.as_str()) {
                found("nothing is shown that nobody said", message, format!("{:?}", said.text));
            }
        }
        fold(&mut view, change);
    }
    for name in snapshot.keys().chain(view.keys()).collect::<BTreeSet<_>>() {
        let (has, is) = (view.get(name), snapshot.get(name));
        let rule = match (has, is) {
            // Its follower was there after the acknowledgement, so the history that shows it holds both.
            (None, Some(_)) if came_after(records, follower, name) => "a follower misses nothing acknowledged",
            (None, Some(_)) => "a follower misses nothing",
            (Some(_), None) => "a follower is shown nothing that is not there",
            (has, is) if has != is => "a follower's fold is the snapshot",
            _ => continue,
        };
        let passed = if has.is_none() { passed_by(records, follower, name) } else { String::new() };
        found(rule, name, format!("it has {has:?}, there is {is:?}{passed}"));
    }
}

/// By which visit a follower went past a message that it was not told, where the message's name is its number.
fn passed_by(records: &[Record], follower: &Arc<str>, message: &str) -> String {
    let Some(number) = number(message).and_then(|number| i64::try_from(number).ok()) else { return String::new() };
    let mut visit = None;
    for record in records.iter().filter(|record| record.who == *follower) {
        match &record.what {
            What::Comes(_, cursor) if *cursor >= number => break,
            What::Comes(by, cursor) => visit = Some((record.at, by, cursor)),
            _ => {}
        }
    }
    visit.map_or_else(String::new, |(at, by, cursor)| {
        format!("; it went past it by {by}, having come at {:.3} with {cursor}", at.as_secs_f64())
    })
}

/// Whether a follower came, or was told something, after that message was acknowledged.
fn came_after(records: &[Record], follower: &Arc<str>, message: &MessageName) -> bool {
    let is_done = |record: &Record| matches!(&record.what, What::Done(Deed::Send(_), name) if name == message);
    let done = records.iter().position(is_done);
    done.is_some_and(|done| records[done..].iter().any(|record| record.who == *follower))
}

fn name(change: &Change) -> &MessageName {
    match change {
        Change::Sent(name, _) | Change::Edited(name, _) | Change::Reacted(name, ..) | Change::Deleted(name) => name,
    }
}

fn fold(view: &mut View, change: &Change) {
    match change {
        Change::Sent(message, said) => {
            view.insert(message.clone(), said.clone());
        }
        Change::Edited(message, text) => {
            if let Some(said) = view.get_mut(message) {
                said.text.clone_from(text);
            }
        }
        Change::Reacted(message, user, emoji) => {
            if let Some(said) = view.get_mut(message) {
                said.reactions.insert((user.clone(), emoji.clone()));
            }
        }
        Change::Deleted(message) => {
            view.remove(message);
        }
    }
}

/// The shortest part of a history in which the finding still stands, as far as leaving out halves, quarters, … and at
/// last single records finds it (Zeller, Hildebrandt: "Simplifying and isolating failure-inducing input"). What is
/// listed stays: it is what the rest is compared with.
pub fn shortest(records: &[Record], finding: &Finding) -> Vec<Record> {
    let is_it =
        |other: &Finding| other.rule == finding.rule && other.message == finding.message && other.who == finding.who;
    let stands = |part: &[Record]| audit(part).iter().any(is_it);
    let (mut kept, mut size) = (narrowed(records, finding), records.len());
    if !stands(&kept) {
        kept = records.to_vec();
    }
    while size > 0 {
        let mut at = 0;
        while at < kept.len() {
            let mut fewer = kept.clone();
            fewer.drain(at..(at + size).min(kept.len()));
            if stands(&fewer) {
                kept = fewer;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    kept
}

/// The records that name the message or come from who saw it: usually enough, and much fewer.
fn narrowed(records: &[Record], finding: &Finding) -> Vec<Record> {
    let concerns = |record: &&Record| match &record.what {
        What::Listed(_) => true,
        What::Tries(deed) | What::GivesUp(deed) | What::Refused(deed, ..) => {
            of(deed).is_none_or(|m| *m == finding.message)
        }
        What::Done(deed, name) => of(deed).unwrap_or(name) == &finding.message,
        What::Comes(..) | What::Reset => record.who == finding.who,
        What::Told(_, change) => record.who == finding.who && name(change) == &finding.message,
    };
    records.iter().filter(concerns).cloned().collect()
}

fn of(deed: &Deed) -> Option<&MessageName> {
    match deed {
        Deed::Send(_) => None,
        Deed::Edit(name, _) | Deed::React(name, _) | Deed::Delete(name) | Deed::Read(name) => Some(name),
    }
}

#[cfg(test)]
mod tests;
