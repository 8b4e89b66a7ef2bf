//! Promise: an API key counts for an origin once that origin has proven itself, by a file or a record
//! that only its owner can place; and the operator's commands say what to place, and what was found
//! instead. A running server goes by them from its next request on.

use crate::harness::{Certificate, TestServer, marked_body};
use crate::sites::{Publisher, Web, admin_site, item};
use axum::Router;
use axum::http::header;
use axum::response::Redirect;
use axum::routing::get;
use serde_json::{Value, json};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Runs the command without holding up the web server that it asks.
async fn site(data: &Path, arguments: &[&str]) -> crate::admins::Said {
    let data = data.to_owned();
    let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
    let run = tokio::task::spawn_blocking(move || {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        admin_site(&data, &arguments)
    });
    run.await.expect("it ran")
}

fn found(said: &Value) -> Vec<&str> {
    let looked = said["looked"].as_array().expect("it looked");
    let found = looked
        .iter()
        .map(|look| look["found"].as_str().expect("words"));
    found.collect()
}

#[tokio::test]
async fn a_key_counts_from_the_proof_of_its_origin_until_it_is_revoked() {
    let server = TestServer::start();
    let web = Web::start().await;
    let (data, origin) = (server.data(), web.origin.as_str());
    let user = server.user("ada").await;
    let approved = user.approve(origin).await;

    let unknown = site(data, &["key", origin]).await;
    assert!(!unknown.succeeded && unknown.error.contains("belfry admin site add"));
    let added = site(data, &["add", origin]).await.one();
    assert_eq!(added["proven"], Value::Null);
    let again = site(data, &["add", origin]).await.one();
    assert_eq!(again, added, "the line stays the same");
    let line = added["proof"]["line"].as_str().expect("a line");
    let made = site(data, &["key", origin, "--name", "newsroom"])
        .await
        .one();
    assert_eq!(
        (&made["proven"], &made["name"]),
        (&Value::Null, &"newsroom".into())
    );
    assert_eq!(found(&made), ["an empty file"]);
    let publisher = Publisher {
        key: made["key"].as_str().expect("a key").to_owned(),
        key_id: made["key_id"].as_str().expect("an id").to_owned(),
        web,
    };
    let (web, origin) = (&publisher.web, publisher.web.origin.as_str());
    let items = [item(&approved, &marked_body(1))];
    let refused = publisher.publish(&server, &items).await;
    assert_eq!(refused.status(), 403);
    let problem: Value = refused.json().await.expect("a problem");
    let detail = problem["detail"].as_str().expect("words");
    assert!(
        detail.contains(line) && detail.contains("/.well-known/belfry-site"),
        "{detail}"
    );

    web.place(&format!("# who may publish for us\r\n  {line}\r\n"));
    let verified = site(data, &["verify", origin]).await.one();
    assert!(verified["proven"].is_string());
    let taken = publisher.publish(&server, &items).await;
    let taken: Value = taken.json().await.expect("results");
    assert_eq!(taken["results"][0]["status"], 201, "{taken}");

    // What was proven stays so; that it is not there now is said.
    web.place("gone\u{1b}[31m");
    let gone = site(data, &["verify", origin]).await;
    assert!(!gone.succeeded);
    assert_eq!(
        found(&gone.lines[0]),
        [r#"a file without the line; it begins with "gone\u{1b}[31m""#]
    );
    assert_eq!(publisher.publish(&server, &items).await.status(), 200);
    // As some editors begin each file.
    web.place(&format!("\u{feff}{line}\r\n"));
    assert!(site(data, &["verify", origin]).await.succeeded);

    let listed = site(data, &["list"]).await.one();
    assert_eq!(
        (&listed["site"], &listed["keys"]),
        (&origin.into(), &1.into())
    );
    let revoked = site(data, &["revoke-key", origin, &publisher.key_id]).await;
    revoked.one();
    assert_eq!(publisher.publish(&server, &items).await.status(), 401);
    let once_more = site(data, &["revoke-key", origin, &publisher.key_id]).await;
    assert!(!once_more.succeeded);
    let keys = site(data, &["keys", origin]).await.one();
    assert!(
        keys["revoked"].is_string() && keys["name"] == "newsroom",
        "{keys}"
    );
    assert!(keys.get("key").is_none());
    site(data, &["remove", origin]).await.one();
    assert!(site(data, &["list"]).await.lines.is_empty());
}

#[tokio::test]
async fn a_vapid_key_counts_with_the_api_key_that_it_is_registered_with() {
    let server = TestServer::start();
    let publisher = Publisher::of(&server).await;
    let origin = publisher.web.origin.as_str();
    let user = server.user("ada").await;
    let vapid =
        "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8";
    let new = belfry_client::server::NewPermission {
        site: origin.parse().expect("an origin"),
        name: None,
        application_server_key: Some(vapid.to_owned()),
        receipts: false,
    };
    let permission = user.server.create_permission(&new).await.expect("approved");
    let item = json!({
        "endpoint": permission.endpoint, "ttl": 60, "encoding": "crypto-box",
        "body": "Wlpa".repeat(56),
    });
    let status = async || {
        let answer = publisher
            .publish(&server, std::slice::from_ref(&item))
            .await;
        let answer: Value = answer.json().await.expect("results");
        answer["results"][0]["status"].as_u64().expect("a status")
    };
    assert_eq!(status().await, 403);
    let data = server.data();
    let wrong = site(data, &["vapid", origin, "BAAA"]).await;
    assert!(!wrong.succeeded && wrong.error.contains("65 bytes"));
    let stranger = site(
        data,
        &[
            "vapid",
            origin,
            vapid,
            "--key",
            "7nymizpcl2kmwmdqkbnd4jmdfe",
        ],
    )
    .await;
    assert!(!stranger.succeeded);
    let key = publisher.key_id.as_str();
    site(data, &["vapid", origin, vapid, "--key", key])
        .await
        .one();
    assert_eq!(status().await, 201);
    let listed = site(data, &["vapid", origin]).await.one();
    assert_eq!(
        (&listed["public_key"], &listed["with"]),
        (&vapid.into(), &key.into())
    );
    site(data, &["vapid", origin, vapid, "--remove"])
        .await
        .one();
    assert_eq!(status().await, 403);
}

/// A DNS server for `news.example`, at this machine.
struct Dns {
    process: Child,
    address: SocketAddr,
}

impl Dns {
    /// With these TXT records.
    fn start(records: &[(&str, &str)]) -> Self {
        // dnsmasq takes no port 0, and another may take the one that was free a moment ago.
        let started = std::iter::repeat_with(|| Self::at(free_port(), records)).take(10);
        let mut started = started.flatten();
        started.next().expect("a DNS server")
    }

    /// `None` where it cannot have the port.
    fn at(address: SocketAddr, records: &[(&str, &str)]) -> Option<Self> {
        let mut command = Command::new("/usr/sbin/dnsmasq");
        command
            .args([
                "--keep-in-foreground",
                "--no-resolv",
                "--no-hosts",
                "--bind-interfaces",
            ])
            .args([
                "--conf-file=/dev/null",
                "--pid-file=",
                "--user=root",
                "--local=/example/",
            ])
            .args([
                "--listen-address=127.0.0.1",
                "--address=/news.example/127.0.0.1",
            ])
            .arg(format!("--port={}", address.port()))
            .stderr(Stdio::null());
        for (name, text) in records {
            command.arg(format!("--txt-record={name},{text}"));
        }
        let process = command.spawn().expect("Debian's dnsmasq-base is installed");
        let mut dns = Self { process, address };
        dns.answers().then_some(dns)
    }

    /// Returns once it does, or has ended.
    fn answers(&mut self) -> bool {
        let asking = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        asking.connect(self.address).expect("an address");
        let patience = std::time::Duration::from_millis(50);
        asking.set_read_timeout(Some(patience)).expect("a timeout");
        // The root's NS, the shortest question (RFC 1035 §4.1).
        let question = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01";
        while self.process.try_wait().expect("a child").is_none() {
            let _ = asking.send(question);
            if asking.recv(&mut [0; 512]).is_ok() {
                return true;
            }
            // A port that nobody has yet refuses at once.
            std::thread::sleep(patience);
        }
        false
    }
}

/// Free for TCP too, on which DNS is asked where an answer is long.
fn free_port() -> SocketAddr {
    let free = || {
        let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
        let address = socket.local_addr().ok()?;
        std::net::TcpListener::bind(address)
            .is_ok()
            .then_some(address)
    };
    std::iter::repeat_with(free)
        .flatten()
        .next()
        .expect("a port")
}

impl Drop for Dns {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `https://news.example` on this machine, with this behind it.
async fn over_tls(certificate: &Certificate, router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    serve_tls(listener, certificate, router);
    address
}

#[tokio::test]
async fn a_record_proves_and_what_stands_there_instead_is_said() {
    let data = tempfile::tempdir().expect("a folder");
    let data = data.path();
    let certificate = Certificate::make_for(&["news.example"]);
    let ca = certificate.path("cert.pem");
    let port = over_tls(&certificate, Router::new()).await.port();
    let origin = format!("https://news.example:{port}");
    let added = site(data, &["add", &origin]).await.one();
    let record = added["proof"]["record"].as_str().expect("a record");
    assert_eq!(record, "_belfry-site.news.example");
    let line = added["proof"]["line"].as_str().expect("a line");
    let verify = async |records: &[(&str, &str)]| {
        let dns = Dns::start(records);
        let resolver = dns.address.to_string();
        let arguments = ["verify", &origin, "--resolver", &resolver, "--ca", &ca];
        let said = site(data, &arguments).await;
        assert_eq!(said.lines.len(), 1, "{}", said.error);
        said
    };
    let none = verify(&[]).await;
    assert!(!none.succeeded);
    assert_eq!(
        found(&none.lines[0]),
        ["the status 404 Not Found", "no such record"]
    );
    let other = verify(&[(record, "belfry-site=another"), ("news.example", line)]).await;
    assert!(!other.succeeded);
    let shown = r#"other records: "belfry-site=another""#;
    assert_eq!(found(&other.lines[0]), ["the status 404 Not Found", shown]);
    let proven = verify(&[(record, "v=other"), (record, line)]).await;
    assert!(proven.succeeded && proven.lines[0]["proven"].is_string());
    assert_eq!(
        found(&proven.lines[0]),
        ["the status 404 Not Found", "the line"]
    );

    // A name that this server refuses to look for.
    let elsewhere = "https://news.test";
    site(data, &["add", elsewhere]).await.one();
    let dns = Dns::start(&[]);
    let resolver = dns.address.to_string();
    let refused = site(data, &["verify", elsewhere, "--resolver", &resolver]).await;
    assert!(!refused.succeeded && refused.error.contains("the proof of"));
    for found in found(&refused.lines[0]) {
        assert!(found.starts_with("no answer"), "{found}");
    }
}

#[tokio::test]
async fn a_file_proves_over_https_and_nothing_that_leaves_the_origin_does() {
    let data = tempfile::tempdir().expect("a folder");
    let data = data.path();
    let certificate = Certificate::make_for(&["news.example"]);
    let ca = certificate.path("cert.pem");
    let dns = Dns::start(&[]);
    let resolver = dns.address.to_string();
    let elsewhere = Web::start().await;
    let verify = async |router: fn(&str, &str) -> Router| {
        // What it answers has the line in it, which has to be known first.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let origin = format!("https://news.example:{port}");
        let added = site(data, &["add", &origin]).await.one();
        let line = added["proof"]["line"].as_str().expect("a line").to_owned();
        elsewhere.place(&line);
        let router = router(&line, &elsewhere.origin);
        let bound = TcpListener::bind(("127.0.0.1", port)).await;
        serve_tls(bound.expect("still free"), &certificate, router);
        let arguments = ["verify", &origin, "--resolver", &resolver, "--ca", &ca];
        let said = site(data, &arguments).await;
        let first = found(&said.lines[0])[0].to_owned();
        (said.succeeded, first)
    };
    const AT: &str = "/.well-known/belfry-site";
    let plain = verify(|line, _| {
        let line = line.to_owned();
        Router::new().route(AT, get(async move || line))
    });
    assert_eq!(plain.await, (true, "the line".to_owned()));
    let within = verify(|line, _| {
        let line = line.to_owned();
        Router::new()
            .route(AT, get(async || Redirect::temporary("/belfry.txt")))
            .route("/belfry.txt", get(async move || line))
    });
    assert_eq!(within.await, (true, "the line".to_owned()));
    let (proven, leaves) = verify(|_, elsewhere| {
        let there = format!("{elsewhere}{AT}");
        Router::new().route(AT, get(async move || Redirect::temporary(&there)))
    })
    .await;
    assert!(
        !proven && leaves.starts_with("a redirect to \"http://127.0.0.1:"),
        "{leaves}"
    );
    let (proven, round) =
        verify(|_, _| Router::new().route(AT, get(async || Redirect::temporary(AT)))).await;
    assert!(!proven && round.contains("too many"), "{round}");
    let (proven, large) = verify(|line, _| {
        let text = format!("{}\n{line}\n", "#".repeat(5_000));
        Router::new().route(AT, get(async move || text))
    })
    .await;
    assert_eq!((proven, &*large), (false, "a file of more than 4096 bytes"));
    let (proven, bytes) = verify(|_, _| {
        let answer = async || ([(header::CONTENT_TYPE, "image/png")], vec![0xff_u8; 16]);
        Router::new().route(AT, get(answer))
    })
    .await;
    assert!(
        !proven && bytes.starts_with("a file without the line"),
        "{bytes}"
    );
}

fn serve_tls(listener: TcpListener, certificate: &Certificate, router: Router) {
    let acceptor = TlsAcceptor::from(Arc::new(certificate.server_config()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            let service = hyper_util::service::TowerToHyperService::new(router.clone());
            let stream = hyper_util::rt::TokioIo::new(stream);
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http.serve_connection(stream, service).await;
        }
    });
}

#[tokio::test]
async fn a_folder_that_no_server_has_is_not_taken_for_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("mistyped");
    let origin = "https://news.example";
    for arguments in [&["list"][..], &["key", origin], &["keys", origin]] {
        let refused = site(&data, arguments).await;
        assert!(!refused.succeeded && refused.error.contains("no server has its data there"));
        assert!(!data.exists());
    }
    // Before the first start of a server, and by several at once.
    let adding = (0..8).map(|number| {
        let data = data.clone();
        tokio::spawn(async move {
            let origin = format!("https://site{number}.example");
            site(&data, &["add", &origin]).await
        })
    });
    for added in adding.collect::<Vec<_>>() {
        let added = added.await.expect("it ran");
        assert!(added.succeeded, "{}", added.error);
    }
    assert_eq!(site(&data, &["list"]).await.lines.len(), 8);
}
