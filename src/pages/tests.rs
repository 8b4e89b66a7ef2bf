//! The pages as an operator sees them, and the API's description against its rules.
#![allow(clippy::unwrap_used)]

use super::*;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use belfry_account::Accounts;
use belfry_admin::proof::Looking;
use belfry_admin::{Admin, Figures, HealthSettings, Watched};
use belfry_bridge::{Bridge, PushLimits, SealingKey};
use belfry_broker::{Broker, Hub};
use belfry_config::Config;
use belfry_edge::TrustedProxies;
use belfry_protocol::time::Timestamp;
use belfry_store::directory::Directory;
use belfry_store::mailbox::MailboxLimits;
use belfry_store::mailbox::embedded::EmbeddedMailbox;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use tower::ServiceExt as _;

/// Who asks for nothing: everything else needs credentials.
const OPEN: [&str; 20] = [
    "GET /v1/auth/providers",
    "POST /v1/accounts",
    "POST /v1/sessions",
    "POST /v1/resets",
    "POST /admin/v1/setup",
    "POST /admin/v1/sign-in",
    "POST /admin/v1/sign-in/totp",
    "POST /admin/v1/sign-in/passkey/options",
    "POST /admin/v1/sign-in/passkey",
    "POST /admin/v1/sign-out",
    "GET /push/{secret}",
    "DELETE /push/message/{message}",
    "GET /v1/messages/{message}",
    "GET /push/receipts/{receipts}",
    "DELETE /push/receipts/{receipts}",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /openapi.json",
    "GET /mqtt",
];

/// What the rooms say of their routes.
async fn described(folder: &Path, directory: &Directory) -> (OpenApi, Health) {
    let config = Config::default();
    let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(Timestamp::default);
    let hub = Hub::start();
    let mailbox = EmbeddedMailbox::open(
        &folder.join("mailbox"),
        MailboxLimits::default(),
        Arc::clone(&clock),
        hub.commit_listener(),
    );
    let mailbox = Arc::new(mailbox.unwrap());
    let devices = Arc::new(crate::live::Devices::new(directory.clone()));
    let broker = Broker::start(
        hub,
        Arc::clone(&mailbox),
        devices,
        belfry_broker::Settings::default(),
    );
    let push = belfry_bridge::Settings {
        public_url: String::new(),
        public_url_former: Vec::new(),
        ttl_max: config.retention.ttl_max,
        limits: PushLimits {
            permission_per_minute: config.limits.permission_per_minute,
            permission_burst: config.limits.permission_burst,
            site_per_second: config.limits.site_per_second,
            site_per_day: config.limits.site_per_day,
            unproven_per_second: config.limits.unproven_per_second,
            unproven_address_per_second: config.limits.unproven_address_per_second,
        },
        trusted_proxies: TrustedProxies::default(),
    };
    let key = SealingKey::new([0; 32]);
    let bridge = Bridge::new(
        directory.clone(),
        Arc::clone(&mailbox),
        belfry_bridge::Bells::default(),
        key,
        Arc::clone(&clock),
        push,
    );
    let users = belfry_account::Settings {
        device_idle: Duration::ZERO,
        account_idle: Duration::ZERO,
        public_url: String::new(),
        mqtt_url: String::new(),
        mqtt_tcp: String::new(),
        registration: belfry_config::Registration::Open,
        accounts_per_hour: config.limits.accounts_per_hour,
        sign_in_failures_per_minute: config.limits.sign_in_failures_per_minute,
        password_hashes: config.limits.password_hashes,
        devices_per_user: config.limits.devices_per_user,
        permissions_per_user: config.limits.permissions_per_user,
        away_grace: std::time::Duration::from_secs(30),
        trusted_proxies: TrustedProxies::default(),
    };
    let health = HealthSettings {
        data_dir: folder.to_owned(),
        disk_free_min: 0,
        stuck_after: config.health.stuck_after,
    };
    let health = Health::new(
        health,
        directory.clone(),
        Arc::clone(&mailbox),
        broker.clone(),
    );
    let watched = Watched {
        figures: Figures::new(Tally::default(), directory.clone(), Arc::clone(&clock)),
        health: health.clone(),
    };
    let (mailbox_of_admin, clock_of_admin) = (Arc::clone(&mailbox), Arc::clone(&clock));
    let accounts = Accounts::new(directory.clone(), mailbox, broker.clone(), clock, users);
    let admin = Admin::new(
        directory.clone(),
        mailbox_of_admin,
        broker,
        clock_of_admin,
        accounts.sign_ins(),
        watched,
        belfry_admin::Settings {
            configured: belfry_admin::Configured::default(),
            open_message: Arc::new(|_| None),
            public_url: String::new(),
            admin_url: String::new(),
            trusted_proxies: TrustedProxies::default(),
            looking: Looking::new(
                belfry_client::tls::client_config(None).expect("a configuration"),
                None,
            ),
        },
    );
    let rooms = OpenApiRouter::new()
        .merge(belfry_bridge::router(bridge))
        .merge(accounts.router())
        .merge(admin.router());
    (rooms.split_for_parts().1, health)
}

struct Server {
    router: Router,
    stopping: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Server {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("directory.sqlite");
        let directory = Directory::open(&format!("sqlite:{}", file.display()))
            .await
            .unwrap();
        let recorder = collecting().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, figures::describe);
        let stopping = CancellationToken::new();
        let (document, health) = described(folder.path(), &directory).await;
        Self {
            router: router(document, recorder.handle(), health, stopping.clone()),
            stopping,
            _folder: folder,
        }
    }

    async fn get(&self, path: &str) -> Response<Body> {
        let request = Request::get(path).body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn text(&self, path: &str) -> String {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 24)
            .await
            .unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Each operation with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &'_ Value)| {
        let methods = item.as_object().unwrap().keys().cloned();
        methods
            .map(|method| (format!("{} {path}", method.to_uppercase()), method))
            .collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for (path, item) in paths {
        for (name, method) in of((path, item)) {
            found.push((name, &paths[path][method]));
        }
    }
    found
}

#[tokio::test]
async fn every_operation_says_who_may_call_and_how_it_refuses() {
    let server = Server::new().await;
    let document: Value = serde_json::from_str(&server.text("/openapi.json").await).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let schemes = document["components"]["securitySchemes"]
        .as_object()
        .unwrap();
    let all = operations(&document);
    let mut ids = BTreeSet::new();
    for (name, operation) in &all {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{name}: {id} names two operations");
        let security = operation["security"].as_array().expect(name);
        assert_eq!(OPEN.contains(&&**name), security.is_empty(), "{name}");
        for scheme in security
            .iter()
            .flat_map(|one| one.as_object().unwrap().keys())
        {
            assert!(schemes.contains_key(scheme), "{name}: {scheme}");
        }
        assert!(operation["summary"].is_string(), "{name}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(
            responses
                .keys()
                .any(|status| status.starts_with(['1', '2'])),
            "{name}"
        );
        let guarded = security
            .iter()
            .any(|one| one.get("token").or(one.get("device")).is_some());
        assert_eq!(guarded, guarded && responses.contains_key("401"), "{name}");
        for (status, response) in responses {
            assert_ne!(response["description"], "", "{name} {status}");
            if status.starts_with(['4', '5']) || status == "default" {
                let content = response["content"].as_object().unwrap();
                let media: Vec<_> = content.keys().collect();
                assert_eq!(media, ["application/problem+json"], "{name} {status}");
            }
        }
        assert!(responses.contains_key("default"), "{name}");
        assert!(
            responses.keys().any(|status| status.starts_with('4')),
            "{name}"
        );
        for parameter in name.split(['{', '}']).skip(1).step_by(2) {
            let parameters = operation["parameters"].as_array().expect(name);
            let named = parameters
                .iter()
                .any(|one| one["name"] == parameter && one["in"] == "path");
            assert!(named, "{name}: {parameter}");
        }
    }
    let names: BTreeSet<&str> = all.iter().map(|(name, _)| &**name).collect();
    assert!(OPEN.iter().all(|open| names.contains(open)));
    assert!(names.len() >= 30, "{names:?}");
}

#[tokio::test]
async fn what_the_description_refers_to_is_there() {
    let server = Server::new().await;
    let text = server.text("/openapi.json").await;
    let document: Value = serde_json::from_str(&text).unwrap();
    let references = text.split("\"$ref\":\"#").skip(1);
    let mut count = 0;
    for reference in references.filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
        count += 1;
    }
    assert!(count > 20);
    let properties = |schema: &str| {
        let schema = &document["components"]["schemas"][schema]["properties"];
        let names = schema
            .as_object()
            .unwrap_or_else(|| panic!("{schema}"))
            .keys();
        names.cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(properties("DeviceCreated"), "device_id mqtt topics");
    let permission = "endpoint expirationTime permission_id site state";
    assert_eq!(properties("PermissionCreated"), permission);
}

#[tokio::test]
async fn health_follows_the_server_and_metrics_are_prometheus_text() {
    let server = Server::new().await;
    for path in ["/healthz", "/readyz"] {
        let report: Value = serde_json::from_str(&server.text(path).await).unwrap();
        assert_eq!(report["health"], "ok", "{report}");
        let names = report["checks"].as_array().unwrap().iter();
        let names: Vec<_> = names.map(|check| check["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["store", "mailbox", "disk", "bus"]);
    }
    let page = server.get("/metrics").await;
    let content_type = page.headers()["content-type"].to_str().unwrap();
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    let page = server.text("/metrics").await;
    let documented = include_str!("../../docs/metrics.md").lines();
    let documented = documented.filter_map(|line| line.strip_prefix("| `"));
    let mut bare = 0;
    for line in documented {
        let mut cells = line.split('|').map(|cell| cell.trim().trim_matches('`'));
        let (name, kind) = (cells.next().unwrap(), cells.next().unwrap());
        if cells.next() == Some("") {
            assert!(page.contains(&format!("# HELP {name} ")), "{name}");
            assert!(page.contains(&format!("# TYPE {name} {kind}\n")), "{name}");
            bare += 1;
        }
    }
    assert_eq!(page.matches("# TYPE ").count(), bare);
    let samples = page
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut samples = samples.peekable();
    assert!(samples.peek().is_some());
    assert!(samples.all(|line| line.starts_with("belfry_")));
    server.stopping.cancel();
    let stopping = server.get("/readyz").await;
    assert_eq!(stopping.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        stopping.headers()["content-type"],
        "application/problem+json"
    );
    assert!(stopping.headers().contains_key("retry-after"));
    assert!(server.text("/healthz").await.contains("\"health\":\"ok\""));
}

#[tokio::test]
async fn the_reference_needs_nothing_from_elsewhere() {
    let server = Server::new().await;
    assert!(server.get("/docs").await.status().is_redirection());
    let page = server.text("/docs/").await;
    let sources = page.split(['"', '\'']).filter(|text| {
        [".js", ".css", ".png"]
            .iter()
            .any(|ending| text.ends_with(ending))
    });
    let sources: Vec<_> = sources.collect();
    assert!(sources.len() >= 4, "{page}");
    for source in sources {
        assert!(!source.contains("//"), "{source}");
        server
            .text(&format!("/docs/{}", source.trim_start_matches("./")))
            .await;
    }
    let settings = server.text("/docs/swagger-initializer.js").await;
    assert!(settings.contains("/openapi.json"), "{settings}");
    assert!(
        settings.contains("\"validatorUrl\": \"none\""),
        "{settings}"
    );
    assert!(!settings.contains("://"), "{settings}");
}
