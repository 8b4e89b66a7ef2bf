//! Every key there is, with its type, its default and what it means.

use crate::Given;
use crate::setting::{Bytes, LogFormat, Registration, Setting};
use ipnet::IpNet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

const DAY: u64 = 86_400;

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

macro_rules! section {
    ($(#[$doc:meta])* $section:ident, $prefix:literal; $($(#[$key_doc:meta])* $key:ident: $type:ty = $default:expr;)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $section {
            $($(#[$key_doc])* pub $key: $type,)*
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }

        impl $section {
            fn read(&mut self, given: &mut Given) {
                $(given.read(concat!($prefix, ".", stringify!($key)), &mut self.$key);)*
            }

            fn write(&self, out: &mut String) {
                out.push_str(concat!("\n[", $prefix, "]\n"));
                $(write_key(out, stringify!($key), &self.$key);)*
            }
        }
    };
}

fn write_key<T: Setting>(out: &mut String, key: &str, value: &T) {
    if let Some(value) = value.show() {
        out.push_str(&format!("{key} = {value}\n"));
    }
}

section! {
    /// `[http]`: the API, the push endpoints and the WebSocket.
    Http, "http";
    /// Where to listen.
    listen: SocketAddr = loopback(8080);
    /// How long a TLS handshake, and then a request's head, may take.
    head_timeout: Duration = Duration::from_secs(10);
    /// How long a client that reads nothing may hold up an answer.
    write_timeout: Duration = Duration::from_secs(30);
    /// Connections at a time, without those that became MQTT; if not set, an eighth of the open files.
    connections: Option<usize> = None;
}

section! {
    /// `[mqtt]`: devices.
    Mqtt, "mqtt";
    /// Where to listen for MQTT over TCP.
    listen: SocketAddr = loopback(1883);
    /// What devices are told as their TCP address.
    public_url: Option<Url> = None;
    /// How long a session may outlive its connection.
    session_expiry_max: Duration = Duration::from_secs(30 * DAY);
    /// The largest packet taken from a device.
    packet_bytes_max: Bytes = Bytes(64 * 1024);
    /// Unacknowledged messages on their way to a device at most.
    window: u16 = 32;
    /// How long a connection may take to its CONNECT.
    connect_timeout: Duration = Duration::from_secs(5);
    /// How long a device that reads nothing may hold up what is being written to it.
    write_timeout: Duration = Duration::from_secs(30);
    /// The longest keep-alive that a device may ask for.
    keep_alive_max: Duration = Duration::from_secs(3_600);
}

section! {
    /// `[tls]`: with a certificate both listeners speak TLS only.
    Tls, "tls";
    /// PEM file of the certificate chain.
    cert: Option<PathBuf> = None;
    /// PEM file of its key.
    key: Option<PathBuf> = None;
}

section! {
    /// `[database]`: the directory of accounts, devices and permissions.
    Database, "database";
    /// `sqlite:` or `postgres:` URL; an SQLite file in `data_dir` if not set.
    url: Option<String> = None;
}

section! {
    /// `[webhooks]`: what sites are told.
    Webhooks, "webhooks";
    /// Networks that webhooks may be in although they are not of the open internet.
    allow: Vec<IpNet> = Vec::new();
    /// PEM file of one more certificate authority that receivers may have theirs of.
    authority: Option<PathBuf> = None;
}

section! {
    /// `[limits]`
    Limits, "limits";
    /// Notifications a minute under one permission.
    permission_per_minute: u32 = 60;
    /// Notifications at once under one permission.
    permission_burst: u32 = 20;
    /// Notifications a second from one proven site.
    site_per_second: u32 = 600;
    /// Notifications a day from one proven site.
    site_per_day: u64 = 5_000_000;
    /// Notifications a second to one user whose senders prove nothing.
    unproven_per_second: u32 = 10;
    /// Notifications a second from one address that proves nothing, to whichever users.
    unproven_address_per_second: u32 = 100;
    /// Notifications owed in one mailbox; history is bounded alike, apart.
    mailbox_notifications: usize = 1_000;
    /// Posted body bytes owed in one mailbox.
    mailbox_bytes: Bytes = Bytes(4 * 1024 * 1024);
    /// MQTT connections in all; if not set, what the open files leave room for.
    connections: Option<usize> = None;
    /// MQTT connections from one address, and as many HTTP connections, of which it has a quarter of all
    /// at most.
    connections_per_address: usize = 1_000;
    /// MQTT connections between their first byte and their CONNACK at a time, a quarter of them at
    /// most from one address.
    connections_opening: usize = 1_024;
    /// MQTT connections that wait to be among those; more are told that the server is busy.
    connections_waiting: usize = 4_096;
    /// Devices of one user.
    devices_per_user: u64 = 20;
    /// Permissions of one user that are not revoked.
    permissions_per_user: u64 = 1_000;
    /// New accounts an hour from one address.
    accounts_per_hour: u32 = 5;
    /// Failed sign-ins a minute by name and address before waits grow.
    sign_in_failures_per_minute: u32 = 5;
    /// Passwords hashed at a time, at most; each takes 19 MiB and a core for a moment.
    password_hashes: usize = 4;
    /// Retained topics in a user's private space.
    private_topics: usize = 1_000;
    /// Bytes of them.
    private_bytes: Bytes = Bytes(1024 * 1024);
    /// Private messages a second from one device.
    private_per_second: u32 = 20;
    /// MQTT packets a second from one connection, acknowledgements of what it was sent apart.
    packets_per_second: u32 = 100;
}

section! {
    /// `[retention]`
    Retention, "retention";
    /// The longest that a notification may wait; a longer TTL is capped.
    ttl_max: Duration = Duration::from_secs(30 * DAY);
    /// How long what every device has is kept.
    history: Duration = Duration::from_secs(7 * DAY);
    /// How long a device may stay away before it is removed, after a warning a week before; 0 for ever.
    device_idle: Duration = Duration::ZERO;
    /// The same of an account at which nobody is: nobody signed in, no device connected, nobody who
    /// administers.
    account_idle: Duration = Duration::ZERO;
    /// How long what admins did, and bans that are over, are kept; 0 for ever, else at least 7 days.
    audit: Duration = Duration::from_secs(365 * DAY);
}

section! {
    /// `[health]`: when this server says that it is not well.
    Health, "health";
    /// Free bytes on the disk with the data below which it is not ready.
    disk_free_min: Bytes = Bytes(256 * 1024 * 1024);
    /// How long the database, the mailbox or the bus may take to answer.
    stuck_after: Duration = Duration::from_secs(10);
}

section! {
    /// `[accounts]`
    Accounts, "accounts";
    /// Who may make an account; if not set, everyone on a loopback bind and the invited elsewhere.
    registration: Option<Registration> = None;
}

section! {
    /// `[admin]`
    Admin, "admin";
    /// Where `/admin` and `/admin/v1` are served, and nothing else; if not set, beside all else.
    listen: Option<SocketAddr> = None;
    /// What they are called there.
    public_url: Option<Url> = None;
}

section! {
    /// `[log]`
    Log, "log";
    /// Lines for people or for machines.
    format: LogFormat = LogFormat::Text;
    /// What to write: a level, or directives such as `info,belfry_store=debug`.
    level: String = "info,rumqttd=warn,fjall=warn,lsm_tree=warn".to_owned();
}

/// The whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What push endpoints begin with; needed unless the bind is loopback.
    pub public_url: Option<Url>,
    /// Former ones, whose endpoints and VAPID audiences stay good.
    pub public_url_former: Vec<Url>,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Proxies whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long the end may take.
    pub shutdown_grace: Duration,
    /// How long an active device has notifications to itself.
    pub away_grace: Duration,
    /// `[http]`
    pub http: Http,
    /// `[mqtt]`
    pub mqtt: Mqtt,
    /// `[tls]`
    pub tls: Tls,
    /// `[database]`
    pub database: Database,
    /// `[webhooks]`
    pub webhooks: Webhooks,
    /// `[limits]`
    pub limits: Limits,
    /// `[retention]`
    pub retention: Retention,
    /// `[health]`
    pub health: Health,
    /// `[accounts]`
    pub accounts: Accounts,
    /// `[admin]`
    pub admin: Admin,
    /// `[log]`
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_url: None,
            public_url_former: Vec::new(),
            data_dir: PathBuf::from("./belfry-data"),
            trusted_proxies: Vec::new(),
            shutdown_grace: Duration::from_secs(10),
            away_grace: Duration::from_secs(30),
            http: Http::default(),
            mqtt: Mqtt::default(),
            tls: Tls::default(),
            database: Database::default(),
            webhooks: Webhooks::default(),
            limits: Limits::default(),
            retention: Retention::default(),
            health: Health::default(),
            accounts: Accounts::default(),
            admin: Admin::default(),
            log: Log::default(),
        }
    }
}

impl Config {
    pub(crate) fn read(&mut self, given: &mut Given) {
        given.read("public_url", &mut self.public_url);
        given.read("public_url_former", &mut self.public_url_former);
        given.read("data_dir", &mut self.data_dir);
        given.read("trusted_proxies", &mut self.trusted_proxies);
        given.read("shutdown_grace", &mut self.shutdown_grace);
        given.read("away_grace", &mut self.away_grace);
        self.http.read(given);
        self.mqtt.read(given);
        self.tls.read(given);
        self.database.read(given);
        self.webhooks.read(given);
        self.limits.read(given);
        self.retention.read(given);
        self.health.read(given);
        self.accounts.read(given);
        self.admin.read(given);
        self.log.read(given);
    }

    pub(crate) fn write(&self, out: &mut String) {
        write_key(out, "public_url", &self.public_url);
        write_key(out, "public_url_former", &self.public_url_former);
        write_key(out, "data_dir", &self.data_dir);
        write_key(out, "trusted_proxies", &self.trusted_proxies);
        write_key(out, "shutdown_grace", &self.shutdown_grace);
        write_key(out, "away_grace", &self.away_grace);
        self.http.write(out);
        self.mqtt.write(out);
        self.tls.write(out);
        Database {
            url: self.database.url.as_deref().map(without_password),
        }
        .write(out);
        self.webhooks.write(out);
        self.limits.write(out);
        self.retention.write(out);
        self.health.write(out);
        self.accounts.write(out);
        self.admin.write(out);
        self.log.write(out);
    }
}

fn without_password(text: &str) -> String {
    match text.parse::<Url>() {
        Ok(mut url) if url.password().is_some() => {
            // Fails only for URLs that cannot have a password.
            let _ = url.set_password(Some("redacted"));
            url.to_string()
        }
        _ => text.to_owned(),
    }
}
