//! A server's keyring routes, kept in memory, that can be told to lie.

use crate::keys::decode;
use crate::server::Server;
use belfry_protocol::id::DeviceId;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the server has, and how it misbehaves.
#[derive(Default, Clone)]
pub(super) struct State {
    pub(super) keyring: Option<Vec<u8>>,
    pub(super) version: u64,
    pub(super) wraps: BTreeMap<String, Vec<u8>>,
    pub(super) devices: Vec<DeviceId>,
    /// Puts that were tried.
    pub(super) puts: u32,
    /// Every put is told that another was faster.
    pub(super) always_lost: bool,
    /// A put is done, and nobody hears of it.
    pub(super) loses_answers: bool,
    /// Nobody is answered.
    pub(super) down: bool,
}

#[derive(Clone)]
pub(super) struct StandIn {
    state: Arc<Mutex<State>>,
    pub(super) server: Server,
}

impl StandIn {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let state: Arc<Mutex<State>> = Arc::default();
        let served = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&served);
                tokio::spawn(async move { serve(stream, &state).await });
            }
        });
        let server = Server::new(&base, crate::tls::client_config(None).unwrap()).unwrap();
        Self {
            state,
            server: server.with_token("t"),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

struct Asked {
    method: String,
    path: String,
    head: String,
    body: Vec<u8>,
}

impl Asked {
    async fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = stream.read(&mut buffer).await.ok()?;
            if read == 0 {
                return None;
            }
            bytes.extend_from_slice(&buffer[..read]);
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = end else { continue };
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length = header(&head, "content-length").map_or(0, |text| text.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                let mut words = head.split(' ');
                return Some(Self {
                    method: words.next()?.to_owned(),
                    path: words.next()?.to_owned(),
                    body: bytes[end + 4..].to_vec(),
                    head,
                });
            }
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

async fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let Some(asked) = Asked::read(&mut stream).await else {
        return;
    };
    let answer = answer(&asked, &mut state.lock().unwrap());
    let Some((status, etag, body)) = answer else {
        return;
    };
    let head = format!(
        "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\netag: \"{etag}\"\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
}

fn answer(asked: &Asked, state: &mut State) -> Option<(u16, u64, Vec<u8>)> {
    if state.down {
        return None;
    }
    let found = |bytes: Option<&Vec<u8>>, version| match bytes {
        Some(bytes) => Some((200, version, bytes.clone())),
        None => Some((404, 0, Vec::new())),
    };
    let wrap = asked.path.strip_prefix("/v1/keyring/wraps/");
    match (asked.method.as_str(), asked.path.as_str(), wrap) {
        ("GET", "/v1/keyring", _) => found(state.keyring.as_ref(), state.version),
        ("GET", _, Some(recipient)) => found(state.wraps.get(recipient), 0),
        ("GET", "/v1/devices", _) => {
            let items = state
                .devices
                .iter()
                .map(|id| json!({"device_id": id, "name": "x"}));
            let page = json!({"items": items.collect::<Vec<_>>(), "next": null});
            Some((200, 0, page.to_string().into_bytes()))
        }
        ("PUT", "/v1/keyring", _) => put(asked, state),
        other => panic!("{other:?}"),
    }
}

fn put(asked: &Asked, state: &mut State) -> Option<(u16, u64, Vec<u8>)> {
    state.puts += 1;
    let replaces = header(&asked.head, "if-match").map(|tag| tag.trim_matches('"'));
    let replaces = replaces.map_or(0, |tag| tag.parse().unwrap());
    let version = state.keyring.as_ref().map_or(0, |_| state.version);
    if state.always_lost || replaces != version {
        return Some((412, 0, Vec::new()));
    }
    if header(&asked.head, "content-type") == Some("application/json") {
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        let bytes = |value: &Value| decode(value.as_str().unwrap()).unwrap();
        for (recipient, wrap) in body["wraps"].as_object().unwrap() {
            let known = state.devices.iter().any(|id| id.to_string() == *recipient);
            if !known && recipient != crate::server::RECOVERY {
                return Some((422, 0, Vec::new()));
            }
            state.wraps.insert(recipient.clone(), bytes(wrap));
        }
        state.keyring = Some(bytes(&body["sealed"]));
    } else {
        state.keyring = Some(asked.body.clone());
    }
    state.version += 1;

    (!state.loses_answers).then_some((204, state.version, Vec::new()))
}
