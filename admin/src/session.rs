//! The cookie of somebody who signed in, how long it is good, and the requests that may come with it.
//!
//! It is a session of its own: it opens nothing but `/admin/v1`, and no token of a user opens that. A page
//! of another site can make a browser send a request with a cookie; `SameSite=Strict`, the `Origin` and a
//! header that such a page cannot send unasked each keep that out by themselves.

use crate::Admin;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use belfry_edge::{ApiError, ClientAddress, random};
use belfry_protocol::id::{SessionId, UserId};
use belfry_protocol::secret::{Secret, SecretHash};
use belfry_protocol::time::Timestamp;
use belfry_store::directory::AdminSession;
use std::time::Duration;

/// How long a session lives, however much it is used: a day's work.
const LIFETIME: Duration = Duration::from_secs(12 * 3_600);
/// How long one lives that nobody is at.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// How recently a password or a passkey was given where an act asks for it.
const FRESH: Duration = Duration::from_secs(600);
/// How stale the noted use of a session may get: a write a minute, not one a request.
pub(crate) const USE_NOTED_EVERY: Duration = Duration::from_secs(60);
/// What only our own pages send.
const OUR_HEADER: &str = "x-belfry-admin";

/// Whether a session is good.
pub(crate) fn is_good(session: &AdminSession, now: Timestamp) -> bool {
    expires(session) > now
}

/// When it ends unless somebody uses it.
pub(crate) fn expires(session: &AdminSession) -> Timestamp {
    let idle = session.used.plus(IDLE);
    idle.min(session.created.plus(LIFETIME))
}

/// Whether a password or a passkey was given lately.
pub(crate) fn is_fresh(session: &AdminSession, now: Timestamp) -> bool {
    now.since(session.proven) <= FRESH
}

/// A session that begins, and the secret of its cookie.
pub(crate) fn begin(
    user: UserId,
    caller: &Caller,
    now: Timestamp,
) -> Result<(Secret, AdminSession), ApiError> {
    let secret = Secret::from_random(random()?);
    let session = AdminSession {
        id: SessionId::from_bytes(random()?),
        user,
        created: now,
        used: now,
        proven: now,
        address: caller.address.0.to_string(),
        client: caller.client.clone(),
    };
    Ok((secret, session))
}

impl crate::Settings {
    /// Whether browsers reach the pages encrypted.
    fn is_https(&self) -> bool {
        self.admin_url.starts_with("https:")
    }

    fn cookie_name(&self) -> &'static str {
        // A browser takes the prefix with `Secure` alone, and that over plain http not everywhere.
        if self.is_https() {
            "__Host-belfry-admin"
        } else {
            "belfry-admin"
        }
    }

    /// The cookie of a session; of none it takes away the one that is there.
    pub(crate) fn cookie(&self, secret: Option<&Secret>) -> HeaderValue {
        let name = self.cookie_name();
        let (value, age) = secret.map_or(("", 0), |secret| (secret.expose(), LIFETIME.as_secs()));
        let secure = if self.is_https() { "; Secure" } else { "" };
        let cookie =
            format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::from_str(&cookie).expect("a secret is base64url")
    }

    /// The session that a request names.
    pub(crate) fn named_in(&self, headers: &HeaderMap) -> Option<SecretHash> {
        let cookies = headers.get_all(header::COOKIE).into_iter();
        let texts = cookies.filter_map(|value| value.to_str().ok());
        let pairs = texts.flat_map(|text| text.split(';'));
        let mut named = pairs.filter_map(|pair| pair.trim().split_once('='));
        let (_, secret) = named.find(|(name, _)| *name == self.cookie_name())?;
        Some(SecretHash::of(secret.as_bytes()))
    }

    /// Refuses what may come from a page that is not ours.
    ///
    /// # Errors
    /// 403 with the type `cross-site`.
    pub(crate) fn refuse_other_pages(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let origin = text(header::ORIGIN.as_str()).unwrap_or_default();
        // A server of one's own machine has many names; the page is of the one that was asked.
        let asked = || format!("http://{}", text(header::HOST.as_str()).unwrap_or_default());
        let ours = origin == self.admin_url || !self.is_https() && origin == asked();
        if ours && says_so(headers) {
            return Ok(());
        }
        let detail = format!("this came from another site; open {}/admin", self.admin_url);
        Err(ApiError::new(StatusCode::FORBIDDEN, "cross-site", detail))
    }
}

/// Whether a request has the header that only our pages send.
pub(crate) fn says_so(headers: &HeaderMap) -> bool {
    headers.get(OUR_HEADER).is_some_and(|value| value == "1")
}

/// Where a request of our pages comes from, for those who are not signed in yet.
pub(crate) struct Caller {
    pub(crate) address: ClientAddress,
    pub(crate) client: String,
}

impl Caller {
    pub(crate) fn of(parts: &Parts, admin: &Admin) -> Self {
        let trusted = &admin.settings.trusted_proxies;
        let agent = parts.headers.get(header::USER_AGENT);
        let agent = agent.and_then(|agent| agent.to_str().ok());
        Self {
            address: ClientAddress::of(&parts.extensions, &parts.headers, trusted),
            client: client(agent.unwrap_or_default()),
        }
    }
}

impl FromRequestParts<Admin> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, ApiError> {
        admin.settings.refuse_other_pages(&parts.headers)?;
        Ok(Self::of(parts, admin))
    }
}

/// What a person knows a browser by.
fn client(agent: &str) -> String {
    // Each says the names of those before it too.
    let browsers = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("CriOS/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    let systems = [
        ("Android", "Android"),
        ("iPhone", "iOS"),
        ("iPad", "iPadOS"),
        ("Windows", "Windows"),
        ("CrOS", "ChromeOS"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let named = |names: &[(&str, &'static str)]| {
        let mut names = names.iter();
        names.find_map(|(sign, name)| agent.contains(sign).then_some(*name))
    };
    match (named(&browsers), named(&systems)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "another client".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belfry_edge::TrustedProxies;

    fn settings(url: &str) -> crate::Settings {
        crate::Settings {
            looking: crate::proof::Looking::nowhere(),
            public_url: url.to_owned(),
            admin_url: url.to_owned(),
            trusted_proxies: TrustedProxies::default(),
            configured: crate::Configured::of(&belfry_config::Config::default()),
            open_message: std::sync::Arc::new(|_| None),
        }
    }

    fn check(url: &str, headers: &[(&str, &str)], ours: bool) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().expect("a name");
            map.append(name, value.parse().expect("a value"));
        }
        let answer = settings(url).refuse_other_pages(&map);
        assert_eq!(answer.is_ok(), ours, "{url} {headers:?}");
    }

    #[test]
    fn only_our_own_pages_may_write() {
        let (public, local) = ("https://push.example", "http://127.0.0.1:8080");
        let header = ("X-Belfry-Admin", "1");
        let host = ("Host", "push.example");
        check(public, &[("Origin", "https://push.example"), header], true);
        check(public, &[("Origin", "https://push.example")], false);
        check(public, &[header], false);
        check(public, &[("Origin", "null"), header], false);
        check(public, &[("Origin", "https://evil.example"), header], false);
        check(
            public,
            &[("Origin", "https://push.example.evil.example"), header],
            false,
        );
        check(
            public,
            &[("Origin", "http://push.example"), host, header],
            false,
        );
        check(
            public,
            &[("Origin", "https://push.example"), ("X-Belfry-Admin", "0")],
            false,
        );
        check(local, &[("Origin", "http://127.0.0.1:8080"), header], true);
        let named = [
            ("Origin", "http://localhost:8080"),
            ("Host", "localhost:8080"),
            header,
        ];
        check(local, &named, true);
        let other = [
            ("Origin", "http://evil.example"),
            ("Host", "localhost:8080"),
            header,
        ];
        check(local, &other, false);
    }

    #[test]
    fn the_cookie_is_for_this_server_alone() {
        let secret = Secret::from_random([0; 24]);
        let cookie = |url| {
            let cookie = settings(url).cookie(Some(&secret));
            cookie.to_str().expect("text").to_owned()
        };
        assert_eq!(
            cookie("https://push.example"),
            format!(
                "__Host-belfry-admin={}; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure",
                secret.expose()
            )
        );
        let local = cookie("http://127.0.0.1:8080");
        assert!(
            local.starts_with("belfry-admin=") && !local.contains("Secure"),
            "{local}"
        );
        let mut headers = HeaderMap::new();
        let sent = format!("other=1; __Host-belfry-admin={}", secret.expose());
        headers.insert(header::COOKIE, sent.parse().expect("a value"));
        let named = settings("https://push.example").named_in(&headers);
        assert_eq!(named, Some(secret.hash()));
        assert_eq!(settings("http://127.0.0.1").named_in(&headers), None);
    }

    #[test]
    fn a_session_ends_when_nobody_is_at_it_and_after_a_day_of_work() {
        let at = |minutes: u64| Timestamp::from_millis(minutes * 60_000);
        let session = |used: u64| AdminSession {
            id: SessionId::from_bytes([0; 16]),
            user: UserId::from_bytes([0; 16]),
            created: at(0),
            used: at(used),
            proven: at(0),
            address: String::new(),
            client: String::new(),
        };
        for (used, now, good) in [
            (0, 0, true),
            (0, 29, true),
            (0, 30, false),
            (25, 54, true),
            (25, 55, false),
            (715, 719, true),
            (715, 720, false),
        ] {
            assert_eq!(is_good(&session(used), at(now)), good, "{used} {now}");
        }
        assert!(is_fresh(&session(0), at(10)) && !is_fresh(&session(0), at(11)));
    }

    #[test]
    fn a_browser_is_called_as_people_call_it() {
        for (agent, expected) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iOS",
            ),
            ("curl/8.0", "curl"),
            ("", "another client"),
        ] {
            assert_eq!(client(agent), expected);
        }
    }
}
