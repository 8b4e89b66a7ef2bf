//! `belfry serve`: everything in one process, wired from the durable parts outwards, and taken down
//! in the opposite order.

use crate::http::{self, Tls};
use crate::live::Devices;
use crate::open_files::Room;
use crate::{open_files, pages, stop, tls};
use anyhow::Context as _;
use belfry_account::Accounts;
use belfry_acl::limit::Name;
use belfry_admin::proof::Looking;
use belfry_admin::{Admin, Configured, Figures, Health, HealthSettings, Watched};
use belfry_bridge::{Bells, Bridge, PushLimits, SealingKey, WebhookSettings, Webhooks};
use belfry_broker::{Broker, DeviceDirectory, Hub, TlsSource};
use belfry_config::{Config, LogFormat};
use belfry_edge::TrustedProxies;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::Directory;
use belfry_store::mailbox::MailboxLimits;
use belfry_store::mailbox::embedded::EmbeddedMailbox;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing_subscriber::EnvFilter;
use utoipa_axum::router::OpenApiRouter;

/// How often it is written down when devices were connected and how often permissions were used: what a
/// crash loses of it.
const NOTES_EVERY: Duration = Duration::from_secs(10);

/// Connections at a time to an address of admins' own: pages that stand open, and programs. An address has
/// a quarter of them.
const ADMIN_CONNECTIONS: usize = 256;

/// How often the head of the audit log is logged, so that a cut or a forged one shows.
const AUDIT_HEAD_EVERY: Duration = Duration::from_secs(86_400);

/// How long a webhook may take for its answer, as Standard Webhooks has it (15 to 30 s): receivers put
/// an event aside and answer.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(15);

/// How much of the grace at the end requests under way may take, so that a site that sends slowly
/// keeps no device from its goodbye, and how much the whole end, so that the process exits within it.
const REQUESTS: f64 = 0.4;
const ENDING: f64 = 0.95;

/// Connections that the system keeps until they are accepted. Linux takes its own limit
/// (`net.core.somaxconn`, 4,096) where that is lower; beyond, a client tries again after a second, and
/// then after ever longer.
const BACKLOG: u32 = 16_384;

type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Runs the server until a signal.
pub(crate) fn run(config: Config) -> anyhow::Result<()> {
    log(&config)?;
    let room = open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(config, room))
}

/// Passwords hashed at a time: as configured, but for one processor that is left to all else. However
/// far the hashing steps back, with every processor full of it a notification takes five times as long.
fn password_hashes(configured: usize) -> usize {
    let spare = std::thread::available_parallelism().map_or(1, |all| all.get() - 1);
    configured.min(spare.max(1))
}

/// What a start would find wrong with a configuration that is good by itself.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    log_filter(config)?;
    tls::load(config)?;
    Ok(())
}

fn log_filter(config: &Config) -> anyhow::Result<EnvFilter> {
    let level = &config.log.level;
    EnvFilter::try_new(level)
        .with_context(|| format!("log.level = {level:?}: must be a level such as info"))
}

fn log(config: &Config) -> anyhow::Result<()> {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(log_filter(config)?)
        .with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

async fn serve(config: Config, room: Room) -> anyhow::Result<()> {
    let stopping = CancellationToken::new();
    let signals = tokio::spawn(stop::on_signals(stopping.clone())?);
    let (metrics, tally) = pages::install_metrics()?;
    let tls = tls::load(&config)?;
    let http_listener = bind(config.http.listen, "http.listen").await?;
    let mqtt_listener = bind(config.mqtt.listen, "mqtt.listen").await?;
    let (http_bound, mqtt_bound) = (http_listener.local_addr()?, mqtt_listener.local_addr()?);
    let admin_listener = match config.admin.listen {
        Some(address) => Some(bind(address, "admin.listen").await?),
        None => None,
    };
    let admin_bound = admin_listener.as_ref().map(TcpListener::local_addr);
    let admin_bound = admin_bound.transpose()?;
    let public = public_url(&config, http_bound);
    let trusted = TrustedProxies(config.trusted_proxies.clone().into());
    let clock: Clock = Arc::new(|| Timestamp::of(SystemTime::now()));

    private_folder(&config.data_dir)?;
    let directory = open_directory(&config).await?;
    let hub = Hub::start();
    let bells = Bells::default();
    let listener = bells.before(hub.commit_listener());
    let mailbox = open_mailbox(&config, Arc::clone(&clock), listener)?;
    mailbox.follow(directory.watch_limits())?;
    belfry_account::reconcile(&directory, &*mailbox).await?;
    let devices = Arc::new(Devices::new(directory.clone()));
    let broker = Broker::start(
        hub,
        Arc::clone(&mailbox),
        Arc::clone(&devices) as Arc<dyn DeviceDirectory>,
        broker_settings(&config, room),
    );
    let bridge = bridge(
        &config, &public, &trusted, &directory, &mailbox, bells, &clock,
    )
    .await?;
    let webhooks = webhooks(&config, &directory, bridge.clone()).await?;
    let accounts = Accounts::new(
        directory.clone(),
        Arc::clone(&mailbox),
        broker.clone(),
        Arc::clone(&clock),
        account_settings(&config, &public, mqtt_bound, trusted.clone()),
    );

    let figures = Figures::new(tally, directory.clone(), Arc::clone(&clock));
    let health = Health::new(
        health_settings(&config),
        directory.clone(),
        Arc::clone(&mailbox),
        broker.clone(),
    );
    let admin = Admin::new(
        directory.clone(),
        Arc::clone(&mailbox),
        broker.clone(),
        Arc::clone(&clock),
        accounts.sign_ins(),
        Watched {
            figures: figures.clone(),
            health: health.clone(),
        },
        belfry_admin::Settings {
            public_url: public.clone(),
            admin_url: admin_url(&config, http_bound, admin_bound),
            trusted_proxies: trusted.clone(),
            configured: Configured::of(&config),
            looking: Looking::new(sites_tls(&config)?, None),
            open_message: open_message(bridge.clone()),
        },
    );
    admin.reconcile_bans().await?;

    let (api, mut document) = OpenApiRouter::new()
        .merge(belfry_bridge::router(bridge.clone()))
        .merge(webhooks.router())
        .merge(accounts.clone().router())
        .split_for_parts();
    let (administration, described) = admin.clone().router().split_for_parts();
    document.merge(described);
    let pages = pages::router(document, metrics.clone(), health.clone(), stopping.clone());
    let console = belfry_account::console(&public);
    let administration = administration.merge(Admin::pages());
    let routes = api
        .merge(pages)
        .merge(console)
        .merge(broker.websocket_router());
    // Beside all else, or on an address of its own.
    let (routes, apart) = match admin_listener {
        Some(listener) => (routes, Some((listener, administration))),
        None => (routes.merge(administration), None),
    };
    let gate = http::Gate {
        trusted: trusted.clone(),
        directory: directory.clone(),
    };
    let gate = axum::middleware::from_fn_with_state(gate, http::gate);
    let app = belfry_edge::layers::finish(routes.layer(gate.clone()));

    let tasks = TaskTracker::new();
    if let Some((listener, administration)) = apart {
        tasks.spawn(http::serve(
            listener,
            belfry_edge::layers::finish(administration.layer(gate)),
            tls.clone(),
            http_limits(&config, ADMIN_CONNECTIONS, &directory, trusted.clone()),
            stopping.clone(),
        ));
    }
    let connections = room.take("http.connections", config.http.connections, room.http);
    tasks.spawn(http::serve(
        http_listener,
        app,
        tls.clone(),
        http_limits(&config, connections, &directory, trusted.clone()),
        stopping.clone(),
    ));
    let (accepting, stop_accepting) = (broker.clone(), stopping.clone());
    let source = tls.clone().map(tls_source);
    tasks.spawn(async move {
        accepting
            .serve_tcp(mqtt_listener, source, stop_accepting)
            .await
    });
    tasks.spawn(pages::sum_up_metrics(metrics, stopping.clone()));
    tasks.spawn(figures.clone().run(stopping.clone()));
    tasks.spawn(health.run(stopping.clone()));
    tasks.spawn(webhooks.run(stopping.clone()));
    tasks.spawn(write_down_notes(directory.clone(), stopping.clone()));
    tasks.spawn(log_audit_head(directory.clone(), stopping.clone()));
    tasks.spawn(accounts.remove_idle(stopping.clone()));
    tasks.spawn(admin.clone().keep_bans(stopping.clone()));
    tasks.spawn(admin.clone().keep_failures(stopping.clone()));
    tasks.spawn(admin.clone().clear_away(stopping.clone()));
    tasks.spawn(tls::reload_on_hangup(
        config.clone(),
        tls,
        stopping.clone(),
    )?);
    let setup = admin.begin_setup().await.map_err(crate::admin::refused)?;
    if let Some(link) = setup {
        eprintln!("set up: {link}");
    }
    let mut ready = serde_json::json!({
        "event": "ready", "http": http_bound.to_string(), "mqtt": mqtt_bound.to_string(),
    });
    if let Some(bound) = admin_bound {
        ready["admin"] = bound.to_string().into();
    }
    println!("{ready}");
    tracing::info!(http = %http_bound, mqtt = %mqtt_bound, %public, "ready");

    stopping.cancelled().await;
    // A stream of items has no end of its own that could be waited for.
    bridge.drain();
    tasks.close();
    let ended = tokio::time::timeout(config.shutdown_grace.mul_f64(ENDING), async {
        let under_way = config.shutdown_grace.mul_f64(REQUESTS);
        if tokio::time::timeout(under_way, tasks.wait()).await.is_err() {
            tracing::warn!("requests that did not end in time are broken off");
        }
        broker.drain().await;
        let closed = tokio::task::spawn_blocking(move || mailbox.close()).await;
        // Last: with many devices it may not end in time, and nothing depends on it.
        figures.write_down().await;
        note_down(&directory).await;
        closed
    });
    if ended.await.is_err() {
        tracing::warn!("not everything ended in time; what was promised is stored all the same");
    }
    directory.close().await;
    signals.abort();
    Ok(())
}

/// What users, sites and devices call it, without a slash at its end.
pub(crate) fn public_url(config: &Config, bound: SocketAddr) -> String {
    let url = config.public_url_for(bound);
    url.as_str().trim_end_matches('/').to_owned()
}

/// What admins open, without a slash at its end.
pub(crate) fn admin_url(config: &Config, http: SocketAddr, admin: Option<SocketAddr>) -> String {
    let url = config.admin_url_for(http, admin);
    url.as_str().trim_end_matches('/').to_owned()
}

async fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listen = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A restart does not wait for connections that the system still remembers.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().with_context(|| format!("{key} = {address}: cannot listen there"))
}

/// The data folder is its owner's alone, and so is every file that this process makes.
pub(crate) fn private_folder(folder: &Path) -> anyhow::Result<()> {
    use rustix::fs::Mode;
    use std::os::unix::fs::PermissionsExt as _;
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)))
        .with_context(|| format!("data_dir = {}: cannot be used", folder.display()))
}

pub(crate) async fn open_directory(config: &Config) -> anyhow::Result<Directory> {
    let file = config.data_dir.join("directory.sqlite");
    let url = config
        .database
        .url
        .clone()
        .unwrap_or_else(|| format!("sqlite:{}", file.display()));
    // Of two processes that begin on a new folder at once, one makes the tables and one waits for it:
    // SQLite has no lock over a migration. What is locked here is let go with the file.
    let opening = match config.database.url {
        Some(_) => None,
        None => Some(lock(&config.data_dir.join("directory.lock"))?),
    };
    let directory = Directory::open(&url).await;
    drop(opening);
    directory.context("the directory cannot be opened")
}

fn lock(path: &Path) -> anyhow::Result<std::fs::File> {
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    file.and_then(|file| file.lock().map(|()| file))
        .with_context(|| format!("{} cannot be locked", path.display()))
}

fn open_mailbox(
    config: &Config,
    clock: Clock,
    listener: belfry_store::mailbox::CommitListener,
) -> anyhow::Result<Arc<EmbeddedMailbox>> {
    let limits = MailboxLimits {
        notifications: config.limits.mailbox_notifications,
        bytes: config.limits.mailbox_bytes.0,
        history: config.retention.history,
        retained_topics: config.limits.private_topics,
        retained_bytes: usize::try_from(config.limits.private_bytes.0).unwrap_or(usize::MAX),
        session_expiry_max: config.mqtt.session_expiry_max,
    };
    let folder = config.data_dir.join("mailbox");
    Ok(Arc::new(EmbeddedMailbox::open(
        &folder, limits, clock, listener,
    )?))
}

fn health_settings(config: &Config) -> HealthSettings {
    HealthSettings {
        data_dir: config.data_dir.clone(),
        disk_free_min: config.health.disk_free_min.0,
        stuck_after: config.health.stuck_after,
    }
}

fn http_limits(
    config: &Config,
    connections: usize,
    directory: &Directory,
    trusted_proxies: TrustedProxies,
) -> http::Limits {
    let limits = directory.watch_limits();
    let configured = config.limits.connections_per_address;
    let per_address = move || {
        let set = limits.borrow().set(Name::ConnectionsPerAddress);
        set.map_or(configured, |set| usize::try_from(set).unwrap_or(usize::MAX))
    };
    http::Limits {
        head_timeout: config.http.head_timeout,
        write_timeout: config.http.write_timeout,
        connections,
        connections_per_address: Arc::new(per_address),
        trusted_proxies,
    }
}

fn broker_settings(config: &Config, room: Room) -> belfry_broker::Settings {
    let seconds = u16::try_from(config.mqtt.keep_alive_max.as_secs()).unwrap_or(u16::MAX);
    belfry_broker::Settings {
        keep_alive_secs_max: NonZeroU16::new(seconds).unwrap_or(NonZeroU16::MAX),
        window: NonZeroU16::new(config.mqtt.window).unwrap_or(NonZeroU16::MIN),
        packet_bytes_max: u32::try_from(config.mqtt.packet_bytes_max.0).unwrap_or(u32::MAX),
        connect_timeout: config.mqtt.connect_timeout,
        session_expiry_max: config.mqtt.session_expiry_max,
        connections: room.take("limits.connections", config.limits.connections, room.mqtt),
        connections_per_address: config.limits.connections_per_address,
        packets_per_second: config.limits.packets_per_second,
        connections_opening: config.limits.connections_opening,
        connections_waiting: config.limits.connections_waiting,
        private_publishes_per_second: config.limits.private_per_second,
        write_timeout: config.mqtt.write_timeout,
        ttl_max: config.retention.ttl_max,
        away_grace: config.away_grace,
        ..belfry_broker::Settings::default()
    }
}

async fn bridge(
    config: &Config,
    public: &str,
    trusted: &TrustedProxies,
    directory: &Directory,
    mailbox: &Arc<EmbeddedMailbox>,
    bells: Bells,
    clock: &Clock,
) -> anyhow::Result<Bridge> {
    let sealing = SealingKey::new(server_secret(directory, "message-url").await?);
    let former = config
        .public_url_former
        .iter()
        .map(|url| url.as_str().trim_end_matches('/').to_owned());
    let settings = belfry_bridge::Settings {
        public_url: public.to_owned(),
        public_url_former: former.collect(),
        ttl_max: config.retention.ttl_max,
        limits: PushLimits {
            permission_per_minute: config.limits.permission_per_minute,
            permission_burst: config.limits.permission_burst,
            site_per_second: config.limits.site_per_second,
            site_per_day: config.limits.site_per_day,
            unproven_per_second: config.limits.unproven_per_second,
            unproven_address_per_second: config.limits.unproven_address_per_second,
        },
        trusted_proxies: trusted.clone(),
    };
    Ok(Bridge::new(
        directory.clone(),
        Arc::clone(mailbox),
        bells,
        sealing,
        Arc::clone(clock),
        settings,
    ))
}

/// For calls to what sites serve.
fn sites_tls(config: &Config) -> anyhow::Result<rustls::ClientConfig> {
    let authority = config.webhooks.authority.as_deref();
    belfry_client::tls::client_config(authority).context("webhooks.authority")
}

async fn webhooks(
    config: &Config,
    directory: &Directory,
    bridge: Bridge,
) -> anyhow::Result<Webhooks> {
    let tls = sites_tls(config)?;
    let settings = WebhookSettings {
        allow: config.webhooks.allow.clone(),
        tls,
        names: belfry_bridge::system_names(),
        answer_timeout: WEBHOOK_TIMEOUT,
        secret: server_secret(directory, "webhooks").await?,
    };
    Ok(Webhooks::new(bridge, settings)?)
}

/// A secret of this server's own, made where there is none.
async fn server_secret(directory: &Directory, name: &str) -> anyhow::Result<[u8; 32]> {
    let mut fresh = [0; 32];
    getrandom::fill(&mut fresh).context("the system has no random numbers")?;
    Ok(directory.server_secret(name, fresh).await?)
}

fn account_settings(
    config: &Config,
    public: &str,
    mqtt_bound: SocketAddr,
    trusted_proxies: TrustedProxies,
) -> belfry_account::Settings {
    belfry_account::Settings {
        public_url: public.to_owned(),
        // http becomes ws and https becomes wss.
        mqtt_url: format!("{}/mqtt", public.replacen("http", "ws", 1)),
        mqtt_tcp: config.mqtt_url_for(mqtt_bound),
        registration: config.registration(),
        accounts_per_hour: config.limits.accounts_per_hour,
        sign_in_failures_per_minute: config.limits.sign_in_failures_per_minute,
        password_hashes: password_hashes(config.limits.password_hashes),
        devices_per_user: config.limits.devices_per_user,
        permissions_per_user: config.limits.permissions_per_user,
        device_idle: config.retention.device_idle,
        account_idle: config.retention.account_idle,
        away_grace: config.away_grace,
        trusted_proxies,
    }
}

fn open_message(bridge: Bridge) -> belfry_admin::OpenMessage {
    Arc::new(move |url| bridge.message(url))
}

fn tls_source(tls: Tls) -> TlsSource {
    Arc::new(move || TlsAcceptor::from(http::current(&tls)))
}

async fn write_down_notes(directory: Directory, stopping: CancellationToken) {
    let mut every = tokio::time::interval(NOTES_EVERY);
    while stopping.run_until_cancelled(every.tick()).await.is_some() {
        note_down(&directory).await;
    }
}

/// Whoever can write to the directory can make the audit log anew, but not what was logged of it.
async fn log_audit_head(directory: Directory, stopping: CancellationToken) {
    let mut every = tokio::time::interval(AUDIT_HEAD_EVERY);
    while stopping.run_until_cancelled(every.tick()).await.is_some() {
        match directory.audit_head().await {
            Ok(head) => tracing::info!(head = format!("{}:{}", head.n, head.hash), "audit log"),
            Err(error) => tracing::warn!(%error, "the head of the audit log cannot be read"),
        }
        let now = Timestamp::of(SystemTime::now());
        if let Err(error) = directory.forget_links(now).await {
            tracing::warn!(%error, "links that have ended are not removed yet");
        }
    }
}

async fn note_down(directory: &Directory) {
    if let Err(error) = directory.write_down_notes().await {
        tracing::warn!(%error, "the use of devices and permissions is not written down yet");
    }
}
