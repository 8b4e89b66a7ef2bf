//! What a test needs of sites: their web server, the operator's commands about them, and a stream of
//! items to publish.

use crate::admins::{Said, admin_command};
use crate::harness::{Approved, PATIENCE, TestServer};
use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// Runs `belfry admin site` with these arguments on this data, for its JSON.
pub(crate) fn admin_site(data: &Path, arguments: &[&str]) -> Said {
    admin_command(data, &[&["site"], arguments].concat())
}

/// A site's web server on this machine, whose well-known file can be changed.
pub(crate) struct Web {
    pub(crate) origin: String,
    pub(crate) file: Arc<Mutex<String>>,
    _serving: AbortOnDropHandle<()>,
}

impl Web {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("bound"));
        let file = Arc::new(Mutex::new(String::new()));
        let serving = Arc::clone(&file);
        let answer = move || std::future::ready(serving.lock().expect("not poisoned").clone());
        let router = Router::new().route("/.well-known/belfry-site", get(answer));
        let serving = tokio::spawn(async move {
            let connections = async |stream| {
                let service = hyper_util::service::TowerToHyperService::new(router.clone());
                let stream = hyper_util::rt::TokioIo::new(stream);
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(stream, service).await;
            };
            while let Ok((stream, _)) = listener.accept().await {
                connections(stream).await;
            }
        });
        Self {
            origin,
            file,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    pub(crate) fn place(&self, text: &str) {
        *self.file.lock().expect("not poisoned") = text.to_owned();
    }
}

/// A proven site with an API key.
pub(crate) struct Publisher {
    pub(crate) web: Web,
    pub(crate) key: String,
    pub(crate) key_id: String,
}

impl Publisher {
    pub(crate) async fn of(server: &TestServer) -> Self {
        let web = Web::start().await;
        let data = server.data().to_owned();
        let origin = web.origin.clone();
        let run = async |arguments: Vec<String>| {
            let data = data.clone();
            let run = tokio::task::spawn_blocking(move || {
                let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
                admin_site(&data, &arguments).one()
            });
            run.await.expect("it ran")
        };
        let added = run(vec!["add".to_owned(), origin.clone()]).await;
        web.place(added["proof"]["line"].as_str().expect("a line"));
        let made = run(vec!["key".to_owned(), origin]).await;
        assert!(made["proven"].is_string(), "{made}");
        let text = |name: &str| made[name].as_str().expect(name).to_owned();
        Self {
            key: text("key"),
            key_id: text("key_id"),
            web,
        }
    }

    /// One call with these items.
    pub(crate) async fn publish(&self, server: &TestServer, items: &[Value]) -> reqwest::Response {
        let request = reqwest::Client::new()
            .post(format!("{}/v1/publish", server.url()))
            .bearer_auth(&self.key)
            .json(&json!({ "items": items }));
        request.send().await.expect("an answer")
    }

    /// A stream of items, whose request goes on.
    pub(crate) async fn stream(&self, server: &TestServer) -> Stream {
        let (sender, receiver) = tokio::sync::mpsc::channel::<Vec<u8>>(1);
        let pieces = futures_util::stream::unfold(receiver, async |mut receiver| {
            let piece = receiver.recv().await?;
            Some((Ok::<_, std::io::Error>(piece), receiver))
        });
        let request = reqwest::Client::new()
            .post(format!("{}/v1/publish", server.url()))
            .bearer_auth(&self.key)
            .header("Content-Type", "application/x-ndjson")
            .body(reqwest::Body::wrap_stream(pieces));
        let answer = request
            .send()
            .await
            .expect("an answer before the request ends");
        assert_eq!(answer.status(), 200);
        Stream {
            sender: Some(sender),
            results: Results {
                answer,
                read: Vec::new(),
            },
        }
    }
}

pub(crate) struct Stream {
    /// Nothing once the request has ended.
    pub(crate) sender: Option<tokio::sync::mpsc::Sender<Vec<u8>>>,
    pub(crate) results: Results,
}

pub(crate) struct Results {
    answer: reqwest::Response,
    read: Vec<u8>,
}

impl Results {
    /// The next result; nothing at the end, and why it ended otherwise.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, reqwest::Error> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line).expect("JSON")));
            }
            let piece = tokio::time::timeout(PATIENCE, self.answer.chunk());
            match piece.await.expect("in time")? {
                Some(piece) => self.read.extend(piece),
                None => return Ok(None),
            }
        }
    }
}

/// An item with this body.
pub(crate) fn item(site: &Approved, body: &[u8]) -> Value {
    json!({
        "endpoint": site.permission.endpoint, "ttl": 86_400, "encoding": "crypto-box",
        "body": URL_SAFE_NO_PAD.encode(body),
    })
}
