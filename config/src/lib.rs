//! Text and environment to a checked configuration. Opens nothing: the binary reads the file, the
//! environment and, later, the certificates.
//!
//! Every key stands once, in `sections`, with its type, default and meaning. What is unknown, of the
//! wrong form or impossible together is an error that names key, value and remedy, and all errors
//! are found at once.

mod sections;
mod setting;

pub use sections::{
    Accounts, Admin, Config, Database, Health, Http, Limits, Log, Mqtt, Retention, Tls, Webhooks,
};
pub use setting::{Bytes, LogFormat, Registration, Setting};

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use toml::Value;
use url::Url;

/// The shortest age of what admins did, as at run time: a shorter one would remove the row that says so.
const AUDIT_AGE_MIN: Duration = Duration::from_secs(7 * 86_400);

/// The longest that notifications may be kept from devices where nobody is: what may wait longer is
/// posted as `low`.
pub const AWAY_GRACE_MAX: Duration = Duration::from_secs(3_600);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The key, dotted.
    pub key: String,
    /// Its value as it was given, where it was.
    pub value: Option<String>,
    /// What would be right.
    pub remedy: String,
}

/// Everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used:")?;
        for error in &self.0 {
            write!(f, "\n  {}", error.key)?;
            if let Some(value) = &error.value {
                write!(f, " = {value}")?;
            }
            write!(f, ": {}", error.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// What was given, by dotted key, and what was found wrong with it.
#[derive(Default)]
struct Given {
    values: BTreeMap<String, Value>,
    known: Vec<String>,
    errors: Vec<ConfigError>,
}

impl Given {
    fn wrong(&mut self, key: &str, value: Option<&Value>, remedy: impl Into<String>) {
        let value = value.map(ToString::to_string);
        self.errors.push(ConfigError {
            key: key.to_owned(),
            value,
            remedy: remedy.into(),
        });
    }

    /// Takes a key's value over its default.
    fn read<T: Setting>(&mut self, key: &str, target: &mut T) {
        self.known.push(key.to_owned());
        let Some(value) = self.values.remove(key) else {
            return;
        };
        match T::read(&value) {
            Some(read) => *target = read,
            None => self.wrong(key, Some(&value), format!("must be {}", T::wanted())),
        }
    }

    fn flatten(&mut self, prefix: &str, table: toml::Table) {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}.{name}")
            };
            match value {
                Value::Table(table) => self.flatten(&key, table),
                value => {
                    self.values.insert(key, value);
                }
            }
        }
    }

    /// What is left was never asked for.
    fn refuse_unknown(&mut self) {
        for (key, value) in std::mem::take(&mut self.values) {
            let near = self
                .known
                .iter()
                .map(|known| (distance(known, &key), known))
                .min();
            let remedy = match near {
                Some((distance, known)) if distance <= 3 => {
                    format!("unknown key; did you mean {known}?")
                }
                _ => "unknown key; `belfry config show` prints all there are".to_owned(),
            };
            self.wrong(&key, Some(&value), remedy);
        }
    }
}

impl Config {
    /// Reads a file's text, then `BELFRY_DATA_DIR` and `BELFRY__SECTION__KEY` variables over it, then
    /// the folder given on the command line. Other variables are not looked at.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn load(
        text: Option<&str>,
        environment: impl IntoIterator<Item = (String, String)>,
        data_dir: Option<PathBuf>,
    ) -> Result<Self, ConfigErrors> {
        let mut given = Given::default();
        match text.unwrap_or_default().parse::<toml::Table>() {
            Ok(table) => given.flatten("", table),
            Err(error) => given.wrong(
                "the file",
                None,
                format!("is not TOML: {}", error.message()),
            ),
        }
        for (name, value) in environment {
            if name == "BELFRY_DATA_DIR" {
                given
                    .values
                    .insert("data_dir".to_owned(), Value::String(value));
            } else if let Some(path) = name.strip_prefix("BELFRY__") {
                let key = path.to_ascii_lowercase().replace("__", ".");
                given.values.insert(key, Value::String(value));
            }
        }
        let mut config = Self::default();
        config.read(&mut given);
        given.refuse_unknown();
        if let Some(data_dir) = data_dir {
            config.data_dir = data_dir;
        }
        config.check(&mut given);
        if given.errors.is_empty() {
            Ok(config)
        } else {
            Err(ConfigErrors(given.errors))
        }
    }

    /// The URL that push endpoints begin with: what was set, else the bound address.
    pub fn public_url_for(&self, bound: SocketAddr) -> Url {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        self.url_of(bound)
    }

    /// The URL that admins open: of an address of their own what was set, else that address; else
    /// [`Self::public_url_for`].
    pub fn admin_url_for(&self, http_bound: SocketAddr, admin_bound: Option<SocketAddr>) -> Url {
        match (&self.admin.public_url, admin_bound) {
            (Some(url), _) => url.clone(),
            (None, Some(bound)) => self.url_of(bound),
            (None, None) => self.public_url_for(http_bound),
        }
    }

    fn url_of(&self, bound: SocketAddr) -> Url {
        let scheme = if self.tls.cert.is_some() {
            "https"
        } else {
            "http"
        };
        let text = format!("{scheme}://{bound}");
        text.parse()
            .expect("a scheme and a socket address are a URL")
    }

    /// What devices are told as their TCP address: what was set, else the bound address, with the host
    /// of `public_url` where it is bound to whatever addresses there are.
    pub fn mqtt_url_for(&self, bound: SocketAddr) -> String {
        if let Some(url) = &self.mqtt.public_url {
            return url.as_str().trim_end_matches('/').to_owned();
        }
        let scheme = if self.tls.cert.is_some() {
            "mqtts"
        } else {
            "mqtt"
        };
        let public = self.public_url.as_ref().and_then(Url::host_str);
        match public.filter(|_| bound.ip().is_unspecified()) {
            Some(host) => format!("{scheme}://{host}:{}", bound.port()),
            None => format!("{scheme}://{bound}"),
        }
    }

    /// Who may make accounts: what was set, else everyone on a loopback bind and the invited elsewhere.
    pub fn registration(&self) -> Registration {
        self.accounts
            .registration
            .unwrap_or(if self.http.listen.ip().is_loopback() {
                Registration::Open
            } else {
                Registration::Invite
            })
    }

    /// What is in force, as TOML that loads again; the password of a database URL is left out.
    pub fn show(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    /// An address of admins' own, where there is one.
    fn check_admin(&self, wrong: &mut impl FnMut(&str, String, &str)) {
        let Some(listen) = self.admin.listen else {
            if let Some(url) = &self.admin.public_url {
                let remedy = "is of admin.listen, which is not set; else it is all at public_url";
                wrong("admin.public_url", url.to_string(), remedy);
            }
            return;
        };
        if !listen.ip().is_loopback() && self.admin.public_url.is_none() {
            let remedy = "not a loopback address, so admin.public_url must say what admins open";
            wrong("admin.listen", listen.to_string(), remedy);
        }
        if listen.port() != 0 && [self.http.listen, self.mqtt.listen].contains(&listen) {
            let remedy = "must differ from http.listen and mqtt.listen";
            wrong("admin.listen", listen.to_string(), remedy);
        }
    }

    /// What is impossible together, or out of bounds.
    fn check(&self, given: &mut Given) {
        let mut wrong = |key: &str, value: String, remedy: &str| {
            given.errors.push(ConfigError {
                key: key.to_owned(),
                value: Some(value),
                remedy: remedy.to_owned(),
            });
        };
        if !self.http.listen.ip().is_loopback() && self.public_url.is_none() {
            let value = self.http.listen.to_string();
            wrong(
                "http.listen",
                value,
                "not a loopback address, so public_url must say what sites and devices call",
            );
        }
        if !self.mqtt.listen.ip().is_loopback()
            && self.public_url.is_none()
            && self.mqtt.public_url.is_none()
        {
            let value = self.mqtt.listen.to_string();
            wrong(
                "mqtt.listen",
                value,
                "not a loopback address, so mqtt.public_url (or public_url) must say what devices call",
            );
        }
        self.check_admin(&mut wrong);
        let public = self.public_url.iter().map(|url| ("public_url", url));
        let admin = self.admin.public_url.iter();
        let admin = admin.map(|url| ("admin.public_url", url));
        let former = self
            .public_url_former
            .iter()
            .map(|url| ("public_url_former", url));
        for (key, url) in public.chain(former).chain(admin) {
            let good = matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.path() == "/"
                && url.query().is_none()
                && url.fragment().is_none()
                && url.username().is_empty();
            if !good {
                wrong(
                    key,
                    url.to_string(),
                    "must be an origin such as https://push.example, without a path",
                );
            }
        }
        if let Some(url) = &self.mqtt.public_url
            && !matches!(url.scheme(), "mqtt" | "mqtts")
        {
            wrong(
                "mqtt.public_url",
                url.to_string(),
                "must be mqtt://host:port or mqtts://host:port",
            );
        }
        match (&self.tls.cert, &self.tls.key) {
            (Some(cert), None) => wrong(
                "tls.cert",
                cert.display().to_string(),
                "needs tls.key beside it",
            ),
            (None, Some(key)) => wrong(
                "tls.key",
                key.display().to_string(),
                "needs tls.cert beside it",
            ),
            _ => {}
        }
        if self.http.listen == self.mqtt.listen && self.http.listen.port() != 0 {
            let value = self.mqtt.listen.to_string();
            wrong("mqtt.listen", value, "must differ from http.listen");
        }
        if let Some(url) = &self.database.url
            && !["sqlite:", "postgres://", "postgresql://"]
                .iter()
                .any(|scheme| url.starts_with(scheme))
        {
            wrong(
                "database.url",
                "…".to_owned(),
                "must begin with sqlite: or postgres://",
            );
        }
        let least =
            |key: &str, value: u64, least: u64, wrong: &mut dyn FnMut(&str, String, &str)| {
                if value < least {
                    wrong(key, value.to_string(), &format!("must be at least {least}"));
                }
            };
        let limits = &self.limits;
        for (key, value, floor) in [
            (
                "limits.permission_per_minute",
                u64::from(limits.permission_per_minute),
                1,
            ),
            (
                "limits.permission_burst",
                u64::from(limits.permission_burst),
                1,
            ),
            (
                "limits.site_per_second",
                u64::from(limits.site_per_second),
                1,
            ),
            ("limits.site_per_day", limits.site_per_day, 1),
            (
                "limits.unproven_per_second",
                u64::from(limits.unproven_per_second),
                1,
            ),
            (
                "limits.unproven_address_per_second",
                u64::from(limits.unproven_address_per_second),
                1,
            ),
            // A quarter of the mailbox must hold one notification of the largest size.
            (
                "limits.mailbox_notifications",
                limits.mailbox_notifications as u64,
                4,
            ),
            ("limits.mailbox_bytes", limits.mailbox_bytes.0, 4 * 4_096),
            (
                "limits.connections_per_address",
                limits.connections_per_address as u64,
                1,
            ),
            (
                "limits.connections",
                limits.connections.unwrap_or(usize::MAX) as u64,
                1,
            ),
            // A quarter of it is what one address may have.
            (
                "limits.connections_opening",
                limits.connections_opening as u64,
                4,
            ),
            (
                "http.connections",
                self.http.connections.unwrap_or(usize::MAX) as u64,
                4,
            ),
            ("limits.devices_per_user", limits.devices_per_user, 1),
            (
                "limits.permissions_per_user",
                limits.permissions_per_user,
                1,
            ),
            (
                "limits.accounts_per_hour",
                u64::from(limits.accounts_per_hour),
                1,
            ),
            (
                "limits.sign_in_failures_per_minute",
                u64::from(limits.sign_in_failures_per_minute),
                1,
            ),
            ("limits.password_hashes", limits.password_hashes as u64, 1),
            (
                "limits.private_per_second",
                u64::from(limits.private_per_second),
                1,
            ),
            (
                "limits.packets_per_second",
                u64::from(limits.packets_per_second),
                1,
            ),
            ("http.head_timeout", self.http.head_timeout.as_secs(), 1),
            ("http.write_timeout", self.http.write_timeout.as_secs(), 1),
            ("mqtt.write_timeout", self.mqtt.write_timeout.as_secs(), 1),
            ("mqtt.window", u64::from(self.mqtt.window), 1),
            ("mqtt.keep_alive_max", self.mqtt.keep_alive_max.as_secs(), 1),
            (
                "mqtt.connect_timeout",
                self.mqtt.connect_timeout.as_secs(),
                1,
            ),
            ("retention.ttl_max", self.retention.ttl_max.as_secs(), 1),
            ("health.stuck_after", self.health.stuck_after.as_secs(), 1),
        ] {
            least(key, value, floor, &mut wrong);
        }
        // A notification of 4096 bytes is about 5.9 KiB as a packet.
        least(
            "mqtt.packet_bytes_max",
            self.mqtt.packet_bytes_max.0,
            8_192,
            &mut wrong,
        );
        if self.mqtt.packet_bytes_max.0 > 268_435_455 {
            let value = self.mqtt.packet_bytes_max.0.to_string();
            wrong(
                "mqtt.packet_bytes_max",
                value,
                "must be at most 268435455 (MQTT 5.0 §2.1.4)",
            );
        }
        let audit = self.retention.audit;
        if !audit.is_zero() && audit < AUDIT_AGE_MIN {
            let value = format!("{}s", audit.as_secs());
            wrong(
                "retention.audit",
                value,
                "must be 0s, for ever, or at least 7d",
            );
        }
        if self.away_grace > AWAY_GRACE_MAX {
            let value = format!("{}s", self.away_grace.as_secs());
            wrong("away_grace", value, "must be at most 1h");
        }
        if self.mqtt.keep_alive_max.as_secs() > 65_535 {
            let value = self.mqtt.keep_alive_max.as_secs().to_string();
            wrong(
                "mqtt.keep_alive_max",
                value,
                "must be at most 65535 seconds",
            );
        }
    }
}

/// How many letters must change (Levenshtein).
fn distance(one: &str, two: &str) -> usize {
    let two: Vec<char> = two.chars().collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in two.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[two.len()]
}

#[cfg(test)]
mod tests;
