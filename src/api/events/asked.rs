//! What a client asks of a stream: from where on, and in which form.

use std::time::Duration;

use axum::http::{HeaderMap, header};

use crate::domain::EventId;
use crate::http::fields::Fields;

/// The longest wait of a long poll.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// The header in which `EventSource` says how far it is.
const LAST_EVENT_ID: &str = "last-event-id";

/// The query's names for the same, for first requests and for polyfills that cannot set headers.
const PARAMETERS: [&str; 3] = ["last_event_id", "lastEventId", "since"];

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// It does not say.
    None,
    /// It has seen everything up to there.
    At(EventId),
    /// It says something that is no cursor: not a number, or a negative one.
    Senseless,
}

impl Cursor {
    /// Reads one. Digits are a cursor, whatever their number: one that is too large for this store is from
    /// elsewhere, and so is one that is too large for a number.
    pub fn parse(raw: &str) -> Self {
        let raw = raw.trim();
        match raw {
            "" => Self::None,
            _ if raw.bytes().all(|byte| byte.is_ascii_digit()) => Self::At(EventId::parse_loosely(raw)),
            _ => Self::Senseless,
        }
    }

    /// Where a stream of one conversation begins: what is no cursor is the beginning, so that nothing is lost.
    pub fn in_conversation(self, otherwise: EventId) -> Start {
        let from = match self {
            Self::None => otherwise,
            Self::At(cursor) => cursor,
            Self::Senseless => EventId::START,
        };
        Start { from, standing: Standing::Known }
    }

    /// Where a stream of many conversations begins: at the end of the log unless the client says otherwise.
    /// Nobody wants the whole log because a variable was `undefined`.
    pub fn in_inbox(self, end: EventId) -> Start {
        match self {
            Self::None => Start { from: end, standing: Standing::New },
            Self::At(from) => Start { from, standing: Standing::Known },
            Self::Senseless => Start { from: end, standing: Standing::Lost },
        }
    }
}

/// Where a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// After this.
    pub from: EventId,
    /// Why there.
    pub standing: Standing,
}

/// How a client stands to where its stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has seen all before.
    Known,
    /// It has seen nothing yet and has to learn where it begins.
    New,
    /// What it said was no cursor: it has to read the lists anew.
    Lost,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// How far it is.
    pub cursor: Cursor,
    /// How long it waits for an answer; `None` for a stream.
    pub wait: Option<Duration>,
}

impl Asked {
    /// Reads a request. It is a long poll when it says how long it waits, or takes JSON and no stream.
    pub fn of(headers: &HeaderMap, query: &mut Fields) -> Self {
        let wait = query.optional("wait", 20).map(|wait| Duration::from_secs(wait.trim().parse().unwrap_or(0)));
        let accepted: Vec<_> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let accepts = |kind: &str| accepted.iter().any(|value| value.contains(kind));
        let takes_json = accepts("application/json") && !accepts("text/event-stream");
        let wait = wait.or(takes_json.then_some(Duration::ZERO)).map(|wait| wait.min(WAIT_MAX));
        // What is no text is no cursor either.
        let header = headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("(unreadable)"));
        Self { cursor: read(header, query), wait }
    }
}

/// The header wins: it is newer than the address, which a browser repeats as it was.
fn read(header: Option<&str>, query: &mut Fields) -> Cursor {
    let header = header.map_or(Cursor::None, Cursor::parse);
    if header != Cursor::None {
        return header;
    }
    let found = PARAMETERS.into_iter().filter_map(|name| query.value(name));
    let mut cursors = found.map(|raw| raw.as_str().map_or(Cursor::Senseless, Cursor::parse));
    cursors.find(|cursor| *cursor != Cursor::None).unwrap_or(Cursor::None)
}

/// Where a client wants to resume something else than the log; `None` when it does not say.
pub fn cursor(header: Option<&str>, mut query: Fields) -> Option<EventId> {
    let asked =
        header.map(str::to_owned).or_else(|| PARAMETERS.into_iter().find_map(|name| query.optional(name, 20)))?;
    Some(EventId::parse_loosely(&asked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::INTEGER_MAX;

    fn asked(headers: &[(&'static str, &str)], query: &str) -> Asked {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), header::HeaderValue::from_str(value).unwrap()))
            .collect();
        Asked::of(&headers, &mut Fields::of_query(Some(query)))
    }

    #[test]
    fn a_cursor_is_digits_or_none() {
        for (raw, cursor) in [
            ("", Cursor::None),
            (" ", Cursor::None),
            ("0", Cursor::At(EventId::START)),
            (" 41 ", Cursor::At(EventId(41))),
            ("99999999999999999999999999999999999999999", Cursor::At(EventId(INTEGER_MAX))),
            ("-1", Cursor::Senseless),
            ("+1", Cursor::Senseless),
            ("1.5", Cursor::Senseless),
            ("undefined", Cursor::Senseless),
            ("٤١", Cursor::Senseless),
        ] {
            assert_eq!(Cursor::parse(raw), cursor, "{raw:?}");
        }
    }

    #[test]
    fn the_header_wins_unless_it_says_nothing() {
        assert_eq!(asked(&[("last-event-id", "7")], "since=5").cursor, Cursor::At(EventId(7)));
        assert_eq!(asked(&[("last-event-id", "")], "since=5").cursor, Cursor::At(EventId(5)));
        assert_eq!(asked(&[("last-event-id", "x")], "since=5").cursor, Cursor::Senseless);
        assert_eq!(asked(&[], "last_event_id=&lastEventId=6").cursor, Cursor::At(EventId(6)));
        assert_eq!(asked(&[], "").cursor, Cursor::None);
    }

    #[test]
    fn who_takes_json_or_says_how_long_polls() {
        let wait = |headers: &[(&'static str, &str)], query: &str| asked(headers, query).wait;
        assert_eq!(wait(&[], ""), None);
        assert_eq!(wait(&[("accept", "text/event-stream")], ""), None);
        assert_eq!(wait(&[("accept", "*/*")], ""), None);
        assert_eq!(wait(&[("accept", "text/event-stream, application/json")], ""), None);
        assert_eq!(wait(&[("accept", "application/json, text/plain, */*")], ""), Some(Duration::ZERO));
        assert_eq!(wait(&[], "wait=5"), Some(Duration::from_secs(5)));
        assert_eq!(wait(&[], "wait=100000"), Some(WAIT_MAX));
        assert_eq!(wait(&[], "wait=-1"), Some(Duration::ZERO));
    }
}
