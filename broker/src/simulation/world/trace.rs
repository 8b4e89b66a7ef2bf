//! What happened, in words.

use crate::simulation::{USER, device, packets};
use belfry_protocol::id::{DeviceId, NotificationId};
use belfry_store::mailbox::Command;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Lines that are kept for a failure.
const TRACE_LINES: usize = 120;

/// What happened, for the reader of a failure and to compare two runs.
pub(in crate::simulation) struct Trace {
    hash: DefaultHasher,
    pub(in crate::simulation) lines: VecDeque<String>,
    pub(in crate::simulation) printed: bool,
    pub(in crate::simulation) kept: bool,
}

impl Trace {
    pub(in crate::simulation) fn new(kept: bool, printed: bool) -> Self {
        Self {
            hash: DefaultHasher::new(),
            lines: VecDeque::new(),
            printed,
            kept,
        }
    }

    pub(in crate::simulation) fn note(&mut self, line: String) {
        line.hash(&mut self.hash);
        if self.printed {
            println!("{line}");
        }
        if self.lines.len() == TRACE_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub(in crate::simulation) fn hash(&self) -> u64 {
        self.hash.finish()
    }
}

pub(in crate::simulation) fn name(device: DeviceId) -> String {
    format!("device {}", device.as_bytes()[15])
}

pub(in crate::simulation) fn said(packet: &packets::Packet) -> String {
    match packet {
        packets::Packet::Publish(publish) => {
            let payload = String::from_utf8_lossy(&publish.payload);
            let seq = payload.split("\"seq\":").nth(1);
            let what = match seq.and_then(|seq| seq.split(',').next()) {
                Some(seq) => format!("entry {seq}"),
                None => short(&payload),
            };
            let dup = if publish.dup { " DUP" } else { "" };
            format!("PUBLISH{dup} QoS {} id {}: {what}", publish.qos, publish.id)
        }
        other => format!("{other:?}"),
    }
}

pub(in crate::simulation) fn brief(command: &Command) -> String {
    match command {
        Command::Accept(accept) => {
            let envelope = &accept.envelope;
            format!(
                "Accept {:?} under {} {:?} for {} s",
                envelope.urgency,
                envelope.permission.as_bytes()[15],
                envelope.collapse.as_ref().map(|key| key.as_str()),
                envelope.expires.since(envelope.sent).as_secs()
            )
        }
        Command::PublishPrivate(publish) => format!(
            "PublishPrivate {} {} qos2 {:?} by {}",
            publish.topic.as_str(),
            device::number(&publish.payload).unwrap_or_default(),
            publish.qos2,
            name(publish.device)
        ),
        other => {
            let text = format!("{other:?}");
            readable(&text.replace(&format!("user: {USER:?}, "), ""))
        }
    }
}

/// With numbers for ids.
pub(in crate::simulation) fn readable(text: &str) -> String {
    let mut parts = text.split("Id(");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some((id, rest)) = part.split_once(')') else {
            continue;
        };
        let number = id.parse().map(|id: NotificationId| {
            let [.., high, low] = *id.as_bytes();
            u16::from_be_bytes([high, low]) % 512
        });
        out += &format!(" {}{rest}", number.unwrap_or_default());
    }
    short(&out)
}

pub(in crate::simulation) fn short(text: &str) -> String {
    text.chars().take(900).collect()
}
