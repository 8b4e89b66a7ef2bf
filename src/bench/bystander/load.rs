//! The hostile clients, one kind at a time, in a process of their own: each bounded in connections, and
//! in a rate where the server's answer does not bound it.

use super::requests::{UPGRADE, connect, frame, open, packet, subscribe, text};
use crate::bench::stand::{Seeded, Stand};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Accounts that the hostile clients have, with a device each.
pub(super) const USERS: usize = 50;
/// Clients that open one connection after the other, or one request.
const CLIENTS: usize = 16;
/// Connections that begin and do not go on.
const SLOW: usize = 300;
/// Before a connection that was closed is opened again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// How long one that is to be answered is waited for.
const GIVE_UP: Duration = Duration::from_secs(10);
/// And one that is to last.
const FOR_LONG: Duration = Duration::from_secs(3_600);

/// What hostile clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Load {
    /// 300 connections for each of MQTT, HTTP and WebSocket that send a byte a second
    SlowHeads,
    /// 400 CONNECTs a second with wrong passwords
    WrongPasswords,
    /// 400 CONNECTs a second that stop in the middle, and close
    HalfConnects,
    /// 200 good CONNECTs a second of 50 devices that leave again
    Reconnects,
    /// 50 devices that send PINGREQ without end
    Pings,
    /// 50 devices that send empty WebSocket frames without end
    EmptyFrames,
    /// 50 devices that subscribe to 10,000 filters in each packet without end
    Subscriptions,
    /// 50 devices that acknowledge what was not sent without end
    Acknowledgements,
    /// 50 devices that publish 1 KiB to their own space at QoS 1 without end
    Publishes,
    /// 50 devices that read nothing while 50 notifications a second come for them
    ReadsNothing,
    /// 2,000 posts a second to endpoints that there are not
    UnknownEndpoints,
    /// 500 posts a second whose VAPID tokens have wrong signatures
    WrongTokens,
    /// 16 clients that guess passwords of different names, one after the other
    SignIns,
    /// 500 requests a second with 60,000 bytes of nested JSON
    DeepJson,
    /// 16 connections that ask for 1,000 large answers at once and read none
    Pipelines,
    /// 1,000 requests a second with 90 headers
    Headers,
}

impl Load {
    pub(super) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

#[derive(Args)]
pub(crate) struct Hostile {
    #[arg(long)]
    load: Load,
    #[arg(long)]
    http: SocketAddr,
    #[arg(long)]
    mqtt: SocketAddr,
}

/// An account of a hostile client.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Account {
    device: String,
    user: String,
    password: String,
    endpoint: String,
}

impl Account {
    fn connect(&self) -> Vec<u8> {
        connect(&self.device, &self.user, &self.password)
    }
}

pub(super) fn arguments(load: Load, stand: &Stand) -> Vec<String> {
    let words = [
        "hostile",
        "--load",
        &load.name(),
        "--http",
        &stand.http.to_string(),
        "--mqtt",
        &stand.mqtt.to_string(),
    ];
    words.map(str::to_owned).to_vec()
}

/// What the process reads from stdin.
pub(super) fn seeds(users: &[Seeded]) -> anyhow::Result<String> {
    let accounts = users.iter().map(|user| Account {
        device: user.device.to_string(),
        user: user.user.to_string(),
        password: user.password.expose().to_owned(),
        endpoint: user.endpoint.expose().to_owned(),
    });
    Ok(serde_json::to_string(&accounts.collect::<Vec<_>>())?)
}

struct Target {
    http: SocketAddr,
    mqtt: SocketAddr,
    accounts: Vec<Account>,
}

impl Hostile {
    /// Goes on until it is ended.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut seeds = String::new();
        std::io::stdin().read_to_string(&mut seeds)?;
        let target = Arc::new(Target {
            http: self.http,
            mqtt: self.mqtt,
            accounts: serde_json::from_str(&seeds)?,
        });
        let mut clients = JoinSet::new();
        for number in 0..self.load.clients() {
            clients.spawn(without_end(self.load, number, Arc::clone(&target)));
        }
        // So that all have begun.
        tokio::time::sleep(Duration::from_secs(1)).await;
        println!("begun");
        while clients.join_next().await.is_some() {}
        Ok(())
    }
}

impl Load {
    fn clients(self) -> usize {
        match self {
            Self::SlowHeads => 3 * SLOW,
            Self::Pings
            | Self::EmptyFrames
            | Self::Subscriptions
            | Self::Acknowledgements
            | Self::Publishes
            | Self::ReadsNothing => USERS,
            _ => CLIENTS,
        }
    }

    /// Of all clients together, where the server's answers do not bound it.
    fn per_second(self) -> Option<u32> {
        match self {
            Self::WrongPasswords | Self::HalfConnects => Some(400),
            Self::Reconnects => Some(200),
            Self::UnknownEndpoints => Some(2_000),
            Self::WrongTokens | Self::DeepJson => Some(500),
            Self::Headers => Some(1_000),
            _ => None,
        }
    }
}

/// One client, again and again. What goes wrong for it is what the server is there for.
async fn without_end(load: Load, number: usize, target: Arc<Target>) {
    let clients = load.clients() as u32;
    let each = load
        .per_second()
        .map(|rate| Duration::from_secs(1) * clients / rate);
    let mut turns = each.map(|each| {
        let mut turns = tokio::time::interval(each);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        turns
    });
    let mut count = number as u64;
    let mut stream = None;
    loop {
        match &mut turns {
            Some(turns) => drop(turns.tick().await),
            None => tokio::time::sleep(AGAIN_AFTER).await,
        }
        count += u64::from(clients);
        let once = once(load, number, count, &target, &mut stream);
        // No answer, a refusal, a reset: all the same.
        let patience = match load {
            Load::SignIns => GIVE_UP,
            _ if each.is_some() => GIVE_UP,
            _ => FOR_LONG,
        };
        let answered = tokio::time::timeout(patience, once).await;
        if !matches!(answered, Ok(Ok(()))) {
            stream = None;
        }
    }
}

/// The address of a hostile client. Posts of one that is to be let through come from many.
fn from(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 2, 1 + (number % 250) as u8)
}

const FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 3, 1);

async fn once(
    load: Load,
    number: usize,
    count: u64,
    target: &Target,
    kept: &mut Option<TcpStream>,
) -> anyhow::Result<()> {
    let account = &target.accounts[count as usize % target.accounts.len()];
    match load {
        Load::SlowHeads => slow_head(number, target).await,
        Load::WrongPasswords => {
            let wrong = connect(&account.device, &account.user, &format!("guess-{count}"));
            ask(open(target.mqtt, FROM).await?, &wrong).await
        }
        Load::HalfConnects => {
            let whole = account.connect();
            let mut stream = open(target.mqtt, FROM).await?;
            stream.write_all(&whole[..whole.len() / 2]).await?;
            Ok(())
        }
        Load::Reconnects => {
            let mut stream = open(target.mqtt, FROM).await?;
            stream.write_all(&account.connect()).await?;
            stream.read_u8().await?;
            Ok(stream.write_all(&packet(0xe0, b"")).await?)
        }
        Load::Pings => flood(number, target, &packet(0xc0, b"").repeat(4_096)).await,
        Load::Acknowledgements => flood(number, target, &[0x40, 2, 0x7f, 1].repeat(2_048)).await,
        Load::Subscriptions => flood(number, target, &subscribe(&["abc"; 10_000], 1)).await,
        Load::Publishes => {
            let user = &target.accounts[number].user;
            let mut body = text(&format!("u/{user}/x/flood"));
            body.extend([0, 1, 0]);
            body.extend([0x5a; 1_024]);
            flood(number, target, &packet(0x32, &body)).await
        }
        Load::EmptyFrames => empty_frames(number, target).await,
        Load::ReadsNothing => reads_nothing(number, target).await,
        Load::Pipelines => {
            let asks = b"GET /openapi.json HTTP/1.1\r\nHost: belfry\r\n\r\n".repeat(1_000);
            let mut stream = open(target.http, FROM).await?;
            stream.write_all(&asks).await?;
            std::future::pending().await
        }
        Load::UnknownEndpoints => {
            let post = post(&format!("{count:032}"), "", &[0x5a; 168]);
            request(kept, target, &post).await
        }
        Load::WrongTokens => {
            let post = post(&account.endpoint, WRONG_TOKEN, &[0x5a; 168]);
            request(kept, target, &post).await
        }
        Load::SignIns => {
            let guess = format!(r#"{{"username":"name-{count}","password":"guess"}}"#);
            request(kept, target, &json(guess.as_bytes())).await
        }
        Load::DeepJson => {
            let body = format!(r#"{{"other":{}"#, "[".repeat(60_000));
            request(kept, target, &json(body.as_bytes())).await
        }
        Load::Headers => {
            let headers = "X-Header: value\r\n".repeat(90);
            let asks = format!("GET /healthz HTTP/1.1\r\nHost: belfry\r\n{headers}\r\n");
            request(kept, target, asks.as_bytes()).await
        }
    }
}

/// Well formed, of a real point and with a signature that is not its.
const WRONG_TOKEN: &str = "Authorization: vapid t=eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.\
    eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZSIsImV4cCI6MTgwMDAwMDYwMH0.\
    AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ, \
    k=BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8\r\n";

fn post(endpoint: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /push/{endpoint} HTTP/1.1\r\nHost: belfry\r\nTTL: 60\r\n{more}\
         Content-Encoding: crypto-box\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn json(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/sessions HTTP/1.1\r\nHost: belfry\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Sends, and waits for any answer and the end.
async fn ask(mut stream: TcpStream, bytes: &[u8]) -> anyhow::Result<()> {
    stream.write_all(bytes).await?;
    let mut answer = [0; 1_024];
    while stream.read(&mut answer).await? > 0 {}
    Ok(())
}

/// A request on a connection that is kept, and the whole of its answer.
async fn request(
    kept: &mut Option<TcpStream>,
    target: &Target,
    bytes: &[u8],
) -> anyhow::Result<()> {
    let stream = match kept {
        Some(stream) => stream,
        None => kept.insert(open(target.http, FROM).await?),
    };
    stream.write_all(bytes).await?;
    let mut answer = Vec::with_capacity(4_096);
    loop {
        let begun = stream.read_buf(&mut answer).await?;
        anyhow::ensure!(begun > 0, "closed");
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.lines().next()).unwrap_or("0");
        if body.len() >= length.parse().context("a length")? {
            return Ok(());
        }
    }
}

/// A third on each way in.
async fn slow_head(number: usize, target: &Target) -> anyhow::Result<()> {
    let (address, bytes) = match number % 3 {
        0 => (target.mqtt, "\x10\x40\0\x04MQTT\x05".to_owned()),
        1 => (
            target.http,
            format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(60)),
        ),
        _ => (target.http, UPGRADE.trim_end().to_owned()),
    };
    let mut stream = open(address, FROM).await?;
    for byte in bytes.bytes() {
        stream.write_all(&[byte]).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// As much as the server takes, over TCP; its answers are read and mean nothing.
async fn flood(number: usize, target: &Target, bytes: &[u8]) -> anyhow::Result<()> {
    let mut stream = open(target.mqtt, FROM).await?;
    let connecting = target.accounts[number].connect();
    stream.write_all(&connecting).await?;
    flood_over(stream, bytes).await
}

async fn empty_frames(number: usize, target: &Target) -> anyhow::Result<()> {
    let mut stream = open(target.http, FROM).await?;
    stream.write_all(UPGRADE.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let connecting = frame(0x82, &target.accounts[number].connect());
    stream.write_all(&connecting).await?;
    let frames = [frame(0x8a, b""), frame(0x82, b"")].concat().repeat(512);
    flood_over(stream, &frames).await
}

async fn flood_over(stream: TcpStream, bytes: &[u8]) -> anyhow::Result<()> {
    let (mut reading, mut writing) = stream.into_split();
    let mut answers = vec![0; 64 * 1024];
    let write = async {
        loop {
            writing.write_all(bytes).await?;
        }
    };
    let read = async {
        while reading.read(&mut answers).await? > 0 {}
        anyhow::bail!("closed")
    };
    // Neither ends but by the connection's end, however long the server takes its time.
    let ended: anyhow::Result<()> =
        tokio::select! { ended = write => ended, ended = read => ended };
    ended
}

/// A device that is sent as many notifications as one permission may, and takes none of them.
async fn reads_nothing(number: usize, target: &Target) -> anyhow::Result<()> {
    let account = &target.accounts[number];
    let mut device = open(target.mqtt, FROM).await?;
    let subscribe = subscribe(&[&format!("u/{}/n/#", account.user)], 0);
    device
        .write_all(&[account.connect(), subscribe].concat())
        .await?;
    let mut site = open(target.http, from(number)).await?;
    let body = [&[0; 40][..], &[0x5a; 31 * 128]].concat();
    let mut answers = [0; 1_024];
    let mut turns = tokio::time::interval(Duration::from_secs(1));
    loop {
        turns.tick().await;
        site.write_all(&post(&account.endpoint, "", &body)).await?;
        anyhow::ensure!(site.read(&mut answers).await? > 0, "closed");
    }
}
