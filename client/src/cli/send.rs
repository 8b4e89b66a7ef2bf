//! `belfry send`: encrypt and post, as a site does.

use super::seal::{Seal, read_key_pair};
use super::{Globals, terminal};
use crate::send::{Message, Sender, Vapid};
use crate::vapid::VapidKey;
use anyhow::Context as _;
use belfry_protocol::body::Content;
use belfry_protocol::push::{CollapseKey, IdempotencyKey, InvalidHeader, Ttl, Urgency};
use std::path::PathBuf;

const EXAMPLE: &str = "Example:
  belfry send --to subscription.json --title 'Build failed' --url https://ci.example/42
  belfry approve https://news.example | belfry send --to - --data 'plain text' --ttl 60";

/// A day: long enough for a night, short enough for news.
const TTL_DEFAULT: &str = "86400";

/// Encrypt a notification and post it, as a site does.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Send {
    #[command(flatten)]
    seal: Seal,
    /// The headline
    #[arg(long, required_unless_present = "data", conflicts_with = "data")]
    title: Option<String>,
    /// More text
    #[arg(long, conflicts_with = "data")]
    body: Option<String>,
    /// What a click opens (https)
    #[arg(long, conflicts_with = "data")]
    url: Option<String>,
    /// Replaces a notification with the same tag on the screen
    #[arg(long, conflicts_with = "data")]
    tag: Option<String>,
    /// Send this text as it is, instead of title and body
    #[arg(long, value_name = "RAW")]
    data: Option<String>,
    /// How long it may wait, in seconds
    #[arg(long, value_name = "SECONDS", default_value = TTL_DEFAULT, value_parser = header::<Ttl>)]
    ttl: Ttl,
    /// very-low, low, normal or high
    #[arg(long, default_value = "normal", value_parser = header::<Urgency>)]
    urgency: Urgency,
    /// Replaces an earlier message with the same topic that still waits
    #[arg(long, value_parser = header::<CollapseKey>)]
    topic: Option<CollapseKey>,
    /// Repeating a post with the same key sends nothing twice
    #[arg(long, value_name = "KEY", value_parser = header::<IdempotencyKey>)]
    idempotency_key: Option<IdempotencyKey>,
    /// Sign with this VAPID key, made by belfry keys vapid-new or npm web-push
    #[arg(long, value_name = "FILE")]
    vapid_key_file: Option<PathBuf>,
    /// Whom the push service may contact, with VAPID
    #[arg(long, value_name = "URI", default_value = "mailto:admin@localhost")]
    contact: String,
}

fn header<T: std::str::FromStr<Err = InvalidHeader>>(text: &str) -> Result<T, InvalidHeader> {
    text.parse()
}

impl Send {
    pub(super) async fn run(self, globals: &Globals) -> anyhow::Result<()> {
        let subscription = self.seal.subscription()?;
        let plaintext = self.plaintext();
        let (encoding, body) = self.seal.seal(&subscription, &plaintext)?;
        let vapid = self.vapid()?;
        let sender = Sender::new(&subscription.endpoint, globals.tls()?, vapid)?;
        let message = Message {
            encoding,
            body,
            ttl: self.ttl,
            urgency: self.urgency,
            collapse: self.topic,
            idempotency_key: self.idempotency_key,
        };
        let accepted = sender.send(message).await?;
        if globals.json {
            terminal::print(&terminal::json(&accepted))?;
        } else {
            terminal::note("Accepted.");
            if let Some(location) = &accepted.location {
                terminal::print(&terminal::line(location))?;
                terminal::note("DELETE on this URL takes it back; it is a secret.");
            }
        }
        Ok(())
    }

    fn plaintext(&self) -> Vec<u8> {
        if let Some(data) = &self.data {
            return data.clone().into_bytes();
        }
        let content = Content {
            title: self.title.clone().unwrap_or_default(),
            body: self.body.clone(),
            url: self.url.clone(),
            tag: self.tag.clone(),
            ..Content::default()
        };
        serde_json::to_vec(&content).expect("strings always serialise")
    }

    fn vapid(&self) -> anyhow::Result<Option<Vapid>> {
        let Some(path) = &self.vapid_key_file else {
            return Ok(None);
        };
        let key = VapidKey::parse(&read_key_pair(path)?.private_key);
        let key = key.with_context(|| path.display().to_string())?;
        Ok(Some(Vapid {
            key,
            contact: self.contact.clone(),
        }))
    }
}
