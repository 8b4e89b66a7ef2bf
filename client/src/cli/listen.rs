//! `belfry listen`: notifications on the terminal, or as JSON lines for a program.

use super::Globals;
use super::terminal::{self, Style};
use crate::listen::{Incoming, ListenError, Listener, Options, Presence, Received, Transport};
use crate::server::{PermissionState, Server};
use crate::state::StateDir;
use crate::sync::SyncError;
use anyhow::Context as _;
use belfry_protocol::body::Content;
use belfry_protocol::envelope::Notification;
use belfry_protocol::event::Event as Change;
use belfry_protocol::id::PermissionId;
use serde::Serialize;
use serde_json::json;
use std::collections::HashSet;

const EXAMPLE: &str = "Example:
  belfry listen
  belfry listen --json --count 1 | jq -r .content.title";

/// Show notifications as they arrive.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Listen {
    /// Stop after so many notifications
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Connect over TCP instead of WebSocket
    #[arg(long)]
    tcp: bool,
    /// Say that you are at this device, or away from it
    #[arg(long, value_name = "STATE", value_parser = ["active", "away"])]
    presence: Option<String>,
    /// Count what is shown here as seen, so that other devices take it away
    #[arg(long)]
    seen: bool,
}

/// How to write, and to whom.
struct Screen {
    json: bool,
    out: Style,
    err: Style,
}

/// A notification as `--json` writes it: the envelope without its encrypted body, and the content.
#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    #[serde(flatten)]
    envelope: serde_json::Value,
    content: &'a Content,
}

impl Listen {
    pub(super) async fn run(self, globals: &Globals) -> anyhow::Result<()> {
        let state = globals.state()?;
        let stored = globals.device()?;
        let keys = globals.key_file()?;
        if keys.load()?.is_none() {
            // What cannot be opened is acknowledged all the same, and would be gone.
            return Err(SyncError::NotLinked.into());
        }
        let presence = self.presence.as_deref().map(|word| match word {
            "away" => Presence::Away,
            _ => Presence::Active,
        });
        let mut listener = Listener::new(Options {
            device: stored.device,
            keys,
            sync: globals.keyring().ok(),
            transport: if self.tcp {
                Transport::Tcp
            } else {
                Transport::WebSocket
            },
            tls: globals.tls()?,
            presence,
        })?;
        let mut muted = Muted {
            server: globals.signed_in().ok(),
            permissions: HashSet::new(),
        };
        let screen = Screen {
            json: globals.json,
            out: Style::of(&std::io::stdout()),
            err: Style::of(&std::io::stderr()),
        };
        let mut left = self.count;
        while left != Some(0) {
            let incoming = tokio::select! {
                incoming = listener.next() => incoming,
                _ = tokio::signal::ctrl_c() => break,
            };
            let incoming = match incoming {
                Err(ListenError::TakenOver) if borrowed(&state).await? => continue,
                incoming => incoming?,
            };
            muted.learn(&incoming).await;
            let Incoming::Notification(received) = incoming else {
                screen.say(&incoming);
                continue;
            };
            if muted.permissions.contains(&received.envelope.permission) {
                continue;
            }
            // A reader that went away, such as `head`, is an end and not a failure; what it did not
            // read is not acknowledged.
            if let Err(error) = screen.show(&received) {
                if error.kind() == std::io::ErrorKind::BrokenPipe {
                    return Ok(());
                }
                return Err(error).context("stdout cannot be written");
            }
            if self.seen {
                listener.seen(&[received.envelope.id])?;
            }
            left = left.map(|left| left.saturating_sub(1));
        }
        listener.close().await;
        Ok(())
    }
}

/// Whether it was a command of this folder that needed the connection for a moment; if so, when it
/// is done with it.
async fn borrowed(state: &StateDir) -> anyhow::Result<bool> {
    let state = state.clone();
    Ok(tokio::task::spawn_blocking(move || state.connection_is_borrowed()).await??)
}

/// Which permissions are muted: stored for this device too, but not shown.
struct Muted {
    server: Option<Server>,
    permissions: HashSet<PermissionId>,
}

impl Muted {
    async fn learn(&mut self, incoming: &Incoming) {
        match incoming {
            Incoming::Connected { .. } => {
                // Best effort: without a sign-in, or offline, everything is shown.
                let Some(server) = &self.server else { return };
                if let Ok(all) = server.permissions().await {
                    let muted = all
                        .iter()
                        .filter(|permission| permission.state == PermissionState::Muted);
                    self.permissions = muted.map(|permission| permission.permission_id).collect();
                }
            }
            Incoming::Changed(Change::PermissionMuted { permission }) => {
                self.permissions.insert(*permission);
            }
            Incoming::Changed(
                Change::PermissionAllowed { permission } | Change::PermissionRevoked { permission },
            ) => {
                self.permissions.remove(permission);
            }
            _ => {}
        }
    }
}

impl Screen {
    fn show(&self, received: &Received) -> std::io::Result<()> {
        let text = if self.json {
            json_line(received)
        } else {
            plain_lines(received, self.out)
        };
        terminal::print(&text)
    }

    fn say(&self, incoming: &Incoming) {
        let text = if self.json {
            terminal::json(&status_json(incoming))
        } else {
            self.err.dim(&status_line(incoming))
        };
        terminal::note(&text);
    }
}

fn json_line(received: &Received) -> String {
    let mut envelope = envelope_json(&received.envelope);
    if let Some(fields) = envelope.as_object_mut() {
        fields.remove("body");
    }
    terminal::json(&Line {
        event: "notification",
        envelope,
        content: &received.content,
    })
}

fn envelope_json(envelope: &Notification) -> serde_json::Value {
    serde_json::to_value(envelope).expect("ids, times and strings always serialise")
}

fn plain_lines(received: &Received, style: Style) -> String {
    let Received {
        envelope,
        site,
        content,
    } = received;
    let site = style.accent(&terminal::line(site.as_str()));
    let sent = style.dim(&envelope.sent.to_string());
    let title = style.bold(&terminal::line(&content.title));
    let mut lines = vec![format!("{sent} {site} {title}")];
    if let Some(body) = &content.body {
        lines.push(terminal::paragraph(body, "    "));
    }
    if let Some(url) = &content.url {
        lines.push(format!("    {}", style.dim(&terminal::line(url))));
    }
    lines.join("\n")
}

fn status_line(incoming: &Incoming) -> String {
    match incoming {
        Incoming::Connected { .. } => "connected".to_owned(),
        Incoming::Disconnected { reason, retry_in } => format!(
            "not connected ({}); trying again in {:.1} s",
            terminal::line(reason),
            retry_in.as_secs_f64()
        ),
        Incoming::Hidden {
            id,
            permission,
            reason,
        } => format!("not shown: notification {id} of permission {permission}: {reason}"),
        Incoming::KeyringRefused { reason } => {
            format!("KEYRING REFUSED: {}", terminal::line(reason))
        }
        Incoming::Changed(change) => terminal::json(change),
        Incoming::Notification(received) => format!("notification {}", received.envelope.id),
    }
}

fn status_json(incoming: &Incoming) -> serde_json::Value {
    match incoming {
        Incoming::Connected { resumed } => json!({"event": "connected", "resumed": resumed}),
        Incoming::Disconnected { reason, retry_in } => json!({
            "event": "disconnected",
            "reason": reason,
            "retry_in_ms": u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX),
        }),
        Incoming::Hidden {
            id,
            permission,
            reason,
        } => json!({
            "event": "hidden",
            "id": id,
            "permission": permission,
            "reason": reason.to_string(),
        }),
        Incoming::KeyringRefused { reason } => {
            json!({"event": "keyring_refused", "reason": reason})
        }
        Incoming::Changed(change) => json!({"event": "changed", "change": change}),
        Incoming::Notification(received) => {
            json!({"event": "notification", "id": received.envelope.id})
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use belfry_protocol::id::NotificationId;
    use belfry_protocol::push::{ContentEncoding, Urgency};
    use belfry_protocol::time::Timestamp;

    fn received(title: &str, body: &str) -> Received {
        Received {
            envelope: Notification {
                id: NotificationId::from_bytes([1; 16]),
                permission: PermissionId::from_bytes([2; 16]),
                site: "https://news.example".parse().unwrap(),
                seq: Some(7),
                sent: Timestamp::from_millis(0),
                expires: Timestamp::from_millis(60_000),
                urgency: Urgency::Normal,
                topic: None,
                encoding: ContentEncoding::Aes128gcm,
                body: "sealed".into(),
            },
            site: "https://news.example".parse().unwrap(),
            content: Content {
                title: title.into(),
                body: Some(body.into()),
                url: Some("https://news.example/1".into()),
                ..Content::default()
            },
        }
    }

    #[test]
    fn a_notification_is_plain_without_colour() {
        let shown = plain_lines(&received("T\x1b[31m", "B1\nB2\u{9b}"), Style::new(false));
        assert_eq!(
            shown,
            "1970-01-01T00:00:00.000Z https://news.example T\\u{1b}[31m\n    B1\n    B2\\u{9b}\n    https://news.example/1"
        );
    }

    #[test]
    fn the_only_escapes_in_colour_are_our_own() {
        let shown = plain_lines(&received("T\x1b[31m", "B"), Style::new(true));
        assert!(shown.contains("\x1b[1mT\\u{1b}[31m\x1b[0m"), "{shown:?}");
        let escapes = shown.matches('\x1b').count();
        assert_eq!(escapes, 8, "four styles, each begun and ended: {shown:?}");
    }

    #[test]
    fn a_json_line_is_one_line_and_has_no_sealed_body() {
        let shown = json_line(&received("T\n\x1b\u{9b}", "B"));
        assert!(!shown.contains(|c: char| c.is_control()), "{shown:?}");
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read["event"], "notification");
        assert_eq!(read["seq"], 7);
        assert_eq!(read["content"]["title"], "T\n\x1b\u{9b}");
        assert!(read.get("body").is_none());
    }
}
