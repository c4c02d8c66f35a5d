//! Instants, as whole microseconds: what a database column holds and what the dialects print.

use std::time::Duration;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// 9999-12-31T23:59:59Z, the last instant that the dialects can print.
    pub const MAX: Self = Self(253_402_300_799_000_000);
    /// 0001-01-01T00:00:00Z, the first instant that the dialects can print.
    pub const MIN: Self = Self(-62_135_596_800_000_000);

    /// Parses RFC 3339 and its near relations (a missing offset is read as UTC, as Django REST
    /// framework does in its default configuration); `None` for anything else or out of range.
    pub fn parse(raw: &str) -> Option<Self> {
        let raw = raw.trim();
        let at = raw.parse::<jiff::Timestamp>().or_else(|_| {
            let civil = raw.parse::<jiff::civil::DateTime>()?;
            civil.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp())
        });
        // A bare date parses as a civil time at midnight; the dialects want the time too.
        if !raw.contains(':') {
            return None;
        }
        let at = Self(at.ok()?.as_microsecond());
        (Self::MIN..=Self::MAX).contains(&at).then_some(at)
    }

    /// `2026-01-02T03:04:05.123456Z`.
    pub fn with_micros(self) -> String {
        format!("{:.6}", self.jiff())
    }

    /// `2026-01-02T03:04:05.123Z`.
    pub fn with_millis(self) -> String {
        format!("{:.3}", self.jiff())
    }

    /// `2026-01-02T03:04:05Z`.
    pub fn with_seconds(self) -> String {
        format!("{:.0}", self.jiff())
    }

    /// This instant, `by` later, never past [`Timestamp::MAX`].
    pub fn plus(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(by)).min(Self::MAX)
    }

    /// This instant, `by` earlier, never before [`Timestamp::MIN`].
    pub fn minus(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(by)).max(Self::MIN)
    }

    fn jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_the_dialects_print() {
        let at = Timestamp(1_767_323_045_123_456);
        assert_eq!(at.with_micros(), "2026-01-02T03:04:05.123456Z");
        assert_eq!(at.with_millis(), "2026-01-02T03:04:05.123Z");
        assert_eq!(at.with_seconds(), "2026-01-02T03:04:05Z");
        assert_eq!(Timestamp(0).with_micros(), "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn reads_what_clients_send() {
        let want = Some(Timestamp(1_767_323_045_000_000));
        for raw in ["2026-01-02T03:04:05Z", "2026-01-02T05:04:05+02:00", "2026-01-02T03:04:05"] {
            assert_eq!(Timestamp::parse(raw), want, "{raw}");
        }
        for raw in ["", "tomorrow", "2026-01-02", "2026-13-02T00:00:00Z", "12345"] {
            assert_eq!(Timestamp::parse(raw), None, "{raw}");
        }
    }
}
