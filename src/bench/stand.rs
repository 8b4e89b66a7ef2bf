//! The server under measurement, its users, devices and permissions.

use super::Place;
use super::connection::Connection;
use super::device::{Over, Route};
use anyhow::{Context as _, ensure};
use belfry_admin::desk::{self, NewToken};
use belfry_protocol::id::{DeviceId, PermissionId, SessionId, SiteKeyId, UserId};
use belfry_protocol::push::Urgency;
use belfry_protocol::secret::Secret;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::{
    Actor, Device, DeviceKind, Directory, NewDevice, NewPermission, Permission, PermissionState,
    Role, SiteKey,
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::SystemTime;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// The limits that a measurement needs, as shipped.
const CONFIG: &str = include_str!("../../deploy/bench.toml");

/// A user with one device and one approved site.
pub(super) struct Seeded {
    pub(super) user: UserId,
    pub(super) device: DeviceId,
    /// The device's MQTT password.
    pub(super) password: Secret,
    /// What follows `/push/` in the permission's endpoint.
    pub(super) endpoint: Secret,
}

impl Seeded {
    /// The filter of all its notifications.
    pub(super) fn topic(&self) -> String {
        format!("u/{}/n/#", self.user)
    }
}

/// A running server with seeded users; it ends, and its data goes, when this is dropped.
pub(super) struct Stand {
    process: Child,
    pub(super) http: SocketAddr,
    pub(super) mqtt: SocketAddr,
    pub(super) users: Vec<Seeded>,
    /// Every endpoint of every user; those of one user stand far apart.
    pub(super) endpoints: Vec<Secret>,
    /// The API key of the site that all are for.
    pub(super) site_key: String,
    /// An API token of the operator's.
    admin_token: String,
    folder: TempDir,
}

/// How much there is to publish to.
#[derive(Clone, Copy)]
pub(super) struct Publishers {
    pub(super) permissions_each: usize,
}

/// The site that every permission is for.
const SITE: &str = "https://bench.example";

impl Stand {
    /// Seeds so many users and starts the server, with limits that nothing meets.
    pub(super) async fn start(place: &Place, users: usize) -> anyhow::Result<Self> {
        Self::start_with(place, users, CONFIG).await
    }

    /// The same with more than one permission a user.
    pub(super) async fn start_for(
        place: &Place,
        users: usize,
        publishers: Publishers,
    ) -> anyhow::Result<Self> {
        Self::seeded(place, users, publishers, CONFIG).await
    }

    /// The same with this configuration where the place names none.
    pub(super) async fn start_with(
        place: &Place,
        users: usize,
        config: &str,
    ) -> anyhow::Result<Self> {
        let one = Publishers {
            permissions_each: 1,
        };
        Self::seeded(place, users, one, config).await
    }

    async fn seeded(
        place: &Place,
        users: usize,
        publishers: Publishers,
        config: &str,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("belfry-bench-")
            .tempdir_in(&place.dir)
            .with_context(|| format!("--dir {}: cannot be used", place.dir.display()))?;
        let data = folder.path().join("data");
        std::fs::create_dir(&data)?;
        let file_given = match &place.config {
            Some(file) => file.clone(),
            None => {
                let file = folder.path().join("bench.toml");
                std::fs::write(&file, config)?;
                file
            }
        };
        let url = format!("sqlite:{}", data.join("directory.sqlite").display());
        let directory = Directory::open(&url).await?;
        let mut seeded = Vec::with_capacity(users);
        for number in 0..users {
            seeded.push(seed(&directory, number).await?);
        }
        let mut endpoints: Vec<Secret> = seeded.iter().map(|user| user.endpoint.clone()).collect();
        for _ in 1..publishers.permissions_each {
            for user in &seeded {
                endpoints.push(approve(&directory, user.user).await?);
            }
        }
        let site_key = site_key(&directory).await?;
        let admin_token = admin_token(&directory).await?;
        directory.close().await;

        let program = match &place.program {
            Some(program) => program.clone(),
            None => std::env::current_exe()?,
        };
        let mut process = Command::new(program)
            .arg("serve")
            .arg("--config")
            .arg(file_given)
            .arg("--data-dir")
            .arg(data)
            .env("BELFRY__HTTP__LISTEN", "127.0.0.1:0")
            .env("BELFRY__MQTT__LISTEN", "127.0.0.1:0")
            .env("BELFRY__LOG__LEVEL", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().context("stdout is piped")?;
        let ready = BufReader::new(stdout).lines().next_line().await?;
        let ready = ready.context("the server did not start")?;
        let ready: serde_json::Value = serde_json::from_str(&ready)?;
        let address = |name: &str| {
            let address = ready[name].as_str();
            anyhow::Ok(address.context("no address of the server")?.parse()?)
        };
        Ok(Self {
            process,
            http: address("http")?,
            mqtt: address("mqtt")?,
            users: seeded,
            endpoints,
            site_key,
            admin_token,
            folder,
        })
    }

    /// A folder on the disk that the server's data is on.
    pub(super) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The server's process.
    pub(super) fn process_id(&self) -> anyhow::Result<u32> {
        self.process.id().context("the server ended")
    }

    /// The way of a device over WebSocket.
    pub(super) fn websocket(&self) -> Route {
        self.route(Over::WebSocket, Ipv4Addr::LOCALHOST)
    }

    /// The way of a device that has this address.
    pub(super) fn route(&self, over: Over, from: Ipv4Addr) -> Route {
        let server = match over {
            Over::Tcp => self.mqtt,
            Over::WebSocket => self.http,
        };
        Route { server, over, from }
    }

    /// The server's resident memory in bytes.
    pub(super) fn resident_bytes(&self) -> anyhow::Result<u64> {
        self.memory("VmRSS:")
    }

    /// The most that it was since [`Self::forget_peak`].
    pub(super) fn peak_resident_bytes(&self) -> anyhow::Result<u64> {
        self.memory("VmHWM:")
    }

    /// Begins to look for the peak anew (proc_pid_clear_refs(5)).
    pub(super) fn forget_peak(&self) -> anyhow::Result<()> {
        Ok(std::fs::write(self.proc("clear_refs")?, "5")?)
    }

    /// Seconds of a processor that the server has used.
    pub(super) fn processor_seconds(&self) -> anyhow::Result<f64> {
        super::processor::seconds(self.process_id()?)
    }

    /// The sum of a metric over its labels.
    pub(super) async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let mut stream = TcpStream::connect(self.http).await?;
        let request = "GET /metrics HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let values = answer.lines().filter_map(|line| {
            let value = line.strip_prefix(name)?;
            let labelled = value.starts_with('{') || value.starts_with(' ');
            labelled.then(|| value.rsplit(' ').next())?
        });
        let values: Vec<f64> = values.map(str::parse).collect::<Result<_, _>>()?;
        Ok(values.iter().sum())
    }

    /// Keeps the site out that every permission is for.
    pub(super) async fn ban_site(&self) -> anyhow::Result<()> {
        let ban = serde_json::json!({
            "kind": "site", "value": SITE, "reason": "a measurement", "ends": null,
        });
        let request = Request::post("/admin/v1/bans")
            .header("authorization", format!("Bearer {}", self.admin_token))
            .header("content-type", "application/json");
        let mut connection = Connection::connect(self.http).await?;
        let ban = Full::new(Bytes::from(ban.to_string()));
        let answer = connection.send(request, ban).await?;
        let status = answer.status();
        let said = answer.into_body().collect().await?.to_bytes();
        let said = String::from_utf8_lossy(&said);
        ensure!(
            status == StatusCode::CREATED,
            "a ban was answered {status}: {said}"
        );
        Ok(())
    }

    fn memory(&self, name: &str) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(self.proc("status")?)?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
        let kib: u64 = kib.context("not in /proc")?.trim().parse()?;
        Ok(kib * 1024)
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        Ok(format!("/proc/{}/{file}", self.process_id()?))
    }
}

async fn seed(directory: &Directory, number: usize) -> anyhow::Result<Seeded> {
    let now = Timestamp::of(SystemTime::now());
    let (user, device) = (
        UserId::from_bytes(random()?),
        DeviceId::from_bytes(random()?),
    );
    let password = Secret::from_random(random()?);
    // No password has this hash: nobody signs in here.
    directory
        .create_account(user, &format!("bench-{number}"), "", now)
        .await?;
    let new = NewDevice {
        device: Device {
            id: device,
            name: "bench".to_owned(),
            kind: DeviceKind::Cli,
            public_key: random()?,
            urgency_min: Urgency::VeryLow,
            created: now,
            last_seen: None,
        },
        password: password.hash(),
        made_with: SessionId::from_bytes(random()?),
    };
    directory.create_device(user, &new).await?;
    let endpoint = approve(directory, user).await?;
    Ok(Seeded {
        user,
        device,
        password,
        endpoint,
    })
}

/// One more permission of a user's, by its endpoint.
async fn approve(directory: &Directory, user: UserId) -> anyhow::Result<Secret> {
    let endpoint = Secret::from_random(random()?);
    let new = NewPermission {
        permission: Permission {
            id: PermissionId::from_bytes(random()?),
            site: SITE.parse()?,
            name: None,
            state: PermissionState::Allowed,
            receipts: false,
            created: Timestamp::of(SystemTime::now()),
            accepted: 0,
            last_used: None,
        },
        application_server_key: None,
        endpoint: endpoint.hash(),
    };
    directory.create_permission(user, &new).await?;
    Ok(endpoint)
}

/// The site as proven, with an API key.
async fn site_key(directory: &Directory) -> anyhow::Result<String> {
    let (now, secret) = (
        Timestamp::of(SystemTime::now()),
        Secret::from_random(random()?),
    );
    let site = SITE.parse()?;
    directory
        .create_site(&site, "", &Actor::Operator, now)
        .await?;
    directory.prove_site(&site, &Actor::Operator, now).await?;
    let key = SiteKey {
        id: SiteKeyId::from_bytes(random()?),
        name: None,
        created: now,
        last_used: None,
        revoked: None,
    };
    directory
        .create_site_key(&site, &key, secret.hash(), &Actor::Operator)
        .await?;
    Ok(secret.expose().to_owned())
}

async fn admin_token(directory: &Directory) -> anyhow::Result<String> {
    let new = NewToken {
        name: "bench".to_owned(),
        role: Role::Admin,
        ends: None,
    };
    let now = Timestamp::of(SystemTime::now());
    let made = desk::create_token(directory, new, &Actor::Operator, now).await;
    let (_, token) = made.map_err(|error| anyhow::anyhow!("no token: {error:?}"))?;
    Ok(token)
}

pub(super) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("the system has no random numbers")?;
    Ok(bytes)
}
