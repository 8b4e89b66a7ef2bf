//! What a request prefers (RFC 7240). Preferences are wishes: one that is not known or makes no sense is
//! passed over, and of one that stands there twice the first counts (§2).

use axum::http::HeaderMap;

/// The preferences that are heeded here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Preferences {
    /// `respond-async` (§4.1): a post is to be answered with where its receipt will be.
    pub(crate) respond_async: bool,
    /// `wait` (§4.3), in seconds.
    pub(crate) wait_secs: Option<u64>,
}

impl Preferences {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all("prefer").iter();
        let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        let mut preferences = Self::default();
        let mut waits = false;
        for preference in values.iter().flat_map(|value| split(value, ',')) {
            // Parameters say more of a preference; neither of these has any.
            let Some(named) = split(preference, ';').next() else {
                continue;
            };
            let (name, value) = named.split_once('=').unwrap_or((named, ""));
            let (name, value) = (name.trim(), unquoted(value.trim()));
            if name.eq_ignore_ascii_case("respond-async") && value.is_empty() {
                preferences.respond_async = true;
            } else if name.eq_ignore_ascii_case("wait") && !waits {
                waits = true;
                preferences.wait_secs = seconds(value);
            }
        }
        preferences
    }
}

/// Digits alone, as many as they are.
fn seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn unquoted(value: &str) -> &str {
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    inner.unwrap_or(value)
}

/// The parts between separators that do not stand in a quoted string.
pub(crate) fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        let separates = character == separator && !quoted;
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        separates
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    fn check(values: &[&str], respond_async: bool, wait_secs: Option<u64>) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("Prefer", HeaderValue::from_str(value).expect("a value"));
        }
        let expected = Preferences {
            respond_async,
            wait_secs,
        };
        assert_eq!(Preferences::of(&headers), expected, "{values:?}");
    }

    #[test]
    fn preferences_are_found_in_lists_with_parameters_and_in_any_case() {
        check(&[], false, None);
        check(&["respond-async"], true, None);
        check(&["Respond-Async , WAIT=10"], true, Some(10));
        check(&["respond-async; foo=\"a,b;c\"; bar"], true, None);
        check(&["return=minimal, respond-async"], true, None);
        check(&["handling=lenient", "wait = 5"], false, Some(5));
        check(&["respond-async=\"\""], true, None);
        check(&["wait=\"7\""], false, Some(7));
        check(&["wait=99999999999999999999"], false, Some(u64::MAX));
    }

    #[test]
    fn what_makes_no_sense_is_passed_over_and_the_first_counts() {
        check(&["respond-asynchronously"], false, None);
        check(&["respond-async=1"], false, None);
        check(&["x=\"respond-async, wait=1\""], false, None);
        check(&["x=\"a\\\", respond-async\""], false, None);
        check(&["wait"], false, None);
        check(&["wait=-1, wait=3"], false, None);
        check(&["wait=3, wait=9"], false, Some(3));
        check(&["wait=3;wait=9", "wait=8"], false, Some(3));
        check(&[",, ;,=,\""], false, None);
    }

    proptest! {
        #[test]
        fn anything_can_be_read(value in "[ -~]{0,60}") {
            let mut headers = HeaderMap::new();
            headers.append("Prefer", HeaderValue::from_str(&value).expect("visible"));
            let _ = Preferences::of(&headers);
        }
    }
}
