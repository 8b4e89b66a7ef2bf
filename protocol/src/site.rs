//! A site's name: its web origin (RFC 6454).

use std::fmt;
use std::str::FromStr;

/// Longest origin accepted, in bytes: a DNS name (253) with scheme and port.
pub const ORIGIN_BYTES_MAX: usize = 270;

/// A web origin such as `https://news.example`: lowercase, without default port, path or slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(String);

/// Why a text is not the origin of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrigin {
    /// Not a URL with a host at all.
    #[error("a site is an origin such as https://news.example")]
    NotAnOrigin,
    /// It has more than scheme, host and port.
    #[error("an origin has no path, query, fragment or user name")]
    MoreThanOrigin,
    /// Neither https nor http on this machine.
    #[error("a site's origin uses https (http is for localhost only)")]
    Insecure,
}

impl Origin {
    /// The origin as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host, where it is a name in the DNS: no address, and not this machine.
    pub fn domain(&self) -> Option<&str> {
        let (_, authority) = self.0.split_once("://")?;
        let host = authority.split(':').next()?;
        let top = host.rsplit('.').next()?;
        let name =
            !top.contains('[') && top != "localhost" && !top.bytes().all(|b| b.is_ascii_digit());
        name.then_some(host)
    }

    /// Whether it is on this machine, where http is as good as https.
    pub fn is_loopback(&self) -> bool {
        self.0.starts_with("http://")
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        if text.len() > ORIGIN_BYTES_MAX {
            return Err(InvalidOrigin::NotAnOrigin);
        }
        // A URL parser repairs what browsers meet on pages; a name that is approved needs no repair.
        let (_, authority) = text.split_once("://").ok_or(InvalidOrigin::NotAnOrigin)?;
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || "\\%*".contains(c)) {
            return Err(InvalidOrigin::NotAnOrigin);
        }
        let url = url::Url::parse(text).map_err(|_| InvalidOrigin::NotAnOrigin)?;
        let host = url.host().ok_or(InvalidOrigin::NotAnOrigin)?;
        if url.port() == Some(0) || !is_spelt_out(&host, authority) {
            return Err(InvalidOrigin::NotAnOrigin);
        }
        let local = match &host {
            url::Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
            url::Host::Ipv4(address) => address.is_loopback(),
            url::Host::Ipv6(address) => address.is_loopback(),
        };
        match url.scheme() {
            "https" => {}
            "http" if local => {}
            "http" => return Err(InvalidOrigin::Insecure),
            _ => return Err(InvalidOrigin::NotAnOrigin),
        }
        if !matches!(url.path(), "" | "/")
            || url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Err(InvalidOrigin::MoreThanOrigin);
        }
        Ok(Self(url.origin().ascii_serialization()))
    }
}

/// Whether a host is a DNS name with whole labels (RFC 1123 §2.1), or an address written as such and
/// not as one of the numbers that browsers take for one.
fn is_spelt_out(host: &url::Host<&str>, authority: &str) -> bool {
    match host {
        url::Host::Domain(name) => name.split('.').all(|label| {
            let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            !label.is_empty()
                && label.chars().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        }),
        url::Host::Ipv4(address) => authority.starts_with(&address.to_string()),
        url::Host::Ipv6(_) => true,
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Origin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Origin {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        <String as utoipa::PartialSchema>::schema()
    }
}

impl utoipa::ToSchema for Origin {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, InvalidOrigin>) {
        let origin = text.parse::<Origin>();
        assert_eq!(
            origin.as_ref().map(Origin::as_str).map_err(|e| *e),
            expected,
            "{text}"
        );
    }

    #[test]
    fn only_a_name_in_the_dns_is_a_domain() {
        let check = |text: &str, expected: Option<&str>| {
            let origin: Origin = text.parse().expect(text);
            assert_eq!(origin.domain(), expected, "{text}");
        };
        check("https://news.example", Some("news.example"));
        check("https://news.example:8443", Some("news.example"));
        check("https://7.example", Some("7.example"));
        check("https://intranet", Some("intranet"));
        check("http://localhost:3000", None);
        check("https://app.localhost", None);
        check("https://192.0.2.7:8443", None);
        check("http://[::1]:3000", None);
        check("https://[2001:db8::1]", None);
    }

    #[test]
    fn origins_are_normalised_and_nothing_else_passes() {
        check("https://news.example", Ok("https://news.example"));
        check("https://News.Example:443/", Ok("https://news.example"));
        check("https://news.example:8443", Ok("https://news.example:8443"));
        check(
            "https://bücher.example",
            Ok("https://xn--bcher-kva.example"),
        );
        check("http://localhost:3000", Ok("http://localhost:3000"));
        check("http://127.0.0.1:3000", Ok("http://127.0.0.1:3000"));
        check("http://[::1]:3000", Ok("http://[::1]:3000"));
        check("http://news.example", Err(InvalidOrigin::Insecure));
        check("https://news.example/a", Err(InvalidOrigin::MoreThanOrigin));
        check("https://news.example?x", Err(InvalidOrigin::MoreThanOrigin));
        check(
            "https://me@news.example",
            Err(InvalidOrigin::MoreThanOrigin),
        );
        check("news.example", Err(InvalidOrigin::NotAnOrigin));
        check("ftp://news.example", Err(InvalidOrigin::NotAnOrigin));
        check("", Err(InvalidOrigin::NotAnOrigin));
        check("https://192.0.2.7:8443", Ok("https://192.0.2.7:8443"));
        check("https://a_b.news.example", Ok("https://a_b.news.example"));
        for repaired in [
            "https:news.example",
            "https:/news.example",
            r"https:\\news.example",
            "https://news.exa\nmple",
            " https://news.example ",
            "https://*.example",
            "https://news..example",
            "https://.example",
            "https://news.example.",
            "https://news.example:0",
            "https://-a.example",
            "https://a-.example",
            "https://0x7f.1",
            "http://127.1",
            "https://news%2eexample",
        ] {
            check(repaired, Err(InvalidOrigin::NotAnOrigin));
        }
    }
}
