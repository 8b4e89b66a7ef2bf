//! Points in time, as milliseconds since the Unix epoch, written as RFC 3339 in UTC.

use std::fmt;
use std::time::Duration;

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

/// 9999-12-30T22:00:00Z: the last whole second that every time zone can write in four digits.
const MILLIS_MAX: u64 = 253_402_207_200_000;

impl Timestamp {
    /// The latest time there is, at the end of the year 9999.
    pub const NEVER: Self = Self(MILLIS_MAX);

    /// A time from milliseconds since the epoch; later than the end of the year 9999 is [`Timestamp::NEVER`].
    pub const fn from_millis(millis: u64) -> Self {
        Self(if millis > MILLIS_MAX {
            MILLIS_MAX
        } else {
            millis
        })
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time that the operating system's clock shows now.
    pub fn of(time: std::time::SystemTime) -> Self {
        let since = time
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self::from_millis(u64::try_from(since.as_millis()).unwrap_or(MILLIS_MAX))
    }

    /// This much later, at most [`Timestamp::NEVER`].
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(MILLIS_MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// This much earlier, at least the epoch.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(MILLIS_MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// As HTTP writes dates, in whole seconds (RFC 9110 §5.6.7).
    pub fn http_date(self) -> String {
        let secs = i64::try_from(self.0 / 1_000).unwrap_or_default();
        let time = jiff::Timestamp::from_second(secs).unwrap_or_default();
        time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// The time from `earlier` to this one, zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => f.write_str("9999-12-30T22:00:00.000Z"),
        }
    }
}

impl std::str::FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        let time: jiff::Timestamp = text.parse()?;
        Ok(Self::from_millis(
            u64::try_from(time.as_millisecond()).unwrap_or(0),
        ))
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(
                utoipa::openapi::KnownFormat::DateTime,
            )))
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_with_milliseconds() {
        let check = |millis, text: &str| {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
            assert_eq!(text.parse().ok(), Some(Timestamp::from_millis(millis)));
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(1_795_511_581_007, "2026-11-24T09:13:01.007Z");
        check(MILLIS_MAX, "9999-12-30T22:00:00.000Z");
    }

    #[test]
    fn http_has_dates_of_its_own() {
        let check = |millis, text: &str| {
            assert_eq!(Timestamp::from_millis(millis).http_date(), text);
        };
        check(784_111_777_999, "Sun, 06 Nov 1994 08:49:37 GMT");
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
        check(MILLIS_MAX, "Thu, 30 Dec 9999 22:00:00 GMT");
    }
}
