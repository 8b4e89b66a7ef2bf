//! Every metric there is. `docs/metrics.md` is this table for people, and tests hold both to what the
//! code counts.
//!
//! No label names a user, a device, a site or an endpoint.

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

struct Figure {
    name: &'static str,
    kind: Kind,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
}

const fn figure(
    name: &'static str,
    kind: Kind,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
) -> Figure {
    Figure {
        name,
        kind,
        unit,
        labels,
        help,
    }
}

const FIGURES: [Figure; 34] = [
    figure(
        "belfry_build_info",
        Kind::Gauge,
        Unit::Count,
        &["version"],
        "1, with the version that runs",
    ),
    figure(
        "belfry_start_time_seconds",
        Kind::Gauge,
        Unit::Seconds,
        &[],
        "When the server started, as Unix time",
    ),
    figure(
        "belfry_check_failing",
        Kind::Gauge,
        Unit::Count,
        &["check"],
        "1 where a check of the health fails: store, mailbox, disk or bus",
    ),
    figure(
        "belfry_disk_free_bytes",
        Kind::Gauge,
        Unit::Bytes,
        &[],
        "What is free on the disk with the data",
    ),
    figure(
        "belfry_disk_bytes",
        Kind::Gauge,
        Unit::Bytes,
        &[],
        "What that disk holds in all",
    ),
    figure(
        "belfry_memory_bytes",
        Kind::Gauge,
        Unit::Bytes,
        &[],
        "Memory of the server",
    ),
    figure(
        "belfry_accepted_total",
        Kind::Counter,
        Unit::Count,
        &[],
        "Notifications accepted; a repeat with an idempotency key is not counted again",
    ),
    figure(
        "belfry_refused_total",
        Kind::Counter,
        Unit::Count,
        &["reason"],
        "Posts refused, by the last part of the problem's type",
    ),
    figure(
        "belfry_webhooks_total",
        Kind::Counter,
        Unit::Count,
        &["result"],
        "Events sent to webhooks: `taken`, or `failed` and to be sent again",
    ),
    figure(
        "belfry_told_total",
        Kind::Counter,
        Unit::Count,
        &["news"],
        "Receipts and events of sites that were written for them, by what they say",
    ),
    figure(
        "belfry_delivered_total",
        Kind::Counter,
        Unit::Count,
        &[],
        "Notifications that a first device has settled",
    ),
    figure(
        "belfry_acknowledged_total",
        Kind::Counter,
        Unit::Count,
        &[],
        "Notifications acknowledged, counted for each device",
    ),
    figure(
        "belfry_expired_total",
        Kind::Counter,
        Unit::Count,
        &[],
        "Notifications that expired while they were owed to a device",
    ),
    figure(
        "belfry_withdrawn_total",
        Kind::Counter,
        Unit::Count,
        &[],
        "Notifications that their site took back while they were stored",
    ),
    figure(
        "belfry_pushed_out_total",
        Kind::Counter,
        Unit::Count,
        &[],
        "Notifications that a full mailbox gave up for newer ones",
    ),
    figure(
        "belfry_mailbox_depth",
        Kind::Gauge,
        Unit::Count,
        &[],
        "Notifications and private messages that are owed to a device, in all mailboxes",
    ),
    figure(
        "belfry_mailbox_bytes",
        Kind::Gauge,
        Unit::Bytes,
        &[],
        "Their bytes as posted",
    ),
    figure(
        "belfry_connected_devices",
        Kind::Gauge,
        Unit::Count,
        &["transport", "version"],
        "Devices connected now: tcp, tls or websocket; MQTT 3.1.1 or 5.0",
    ),
    figure(
        "belfry_connections_total",
        Kind::Counter,
        Unit::Count,
        &["transport", "version"],
        "Devices that were let in, each time they connected",
    ),
    figure(
        "belfry_connections_opening",
        Kind::Gauge,
        Unit::Count,
        &[],
        "MQTT connections between their first byte and their CONNACK",
    ),
    figure(
        "belfry_connections_waiting",
        Kind::Gauge,
        Unit::Count,
        &[],
        "MQTT connections that wait until fewer are opening",
    ),
    figure(
        "belfry_connections_refused_total",
        Kind::Counter,
        Unit::Count,
        &["reason"],
        "MQTT connections that were not let in",
    ),
    figure(
        "belfry_http_connections",
        Kind::Gauge,
        Unit::Count,
        &[],
        "HTTP connections now, without those that became MQTT",
    ),
    figure(
        "belfry_passwords_total",
        Kind::Counter,
        Unit::Count,
        &["result"],
        "Passwords of accounts that were tried: `right`, `wrong`, or `limited` and not looked at",
    ),
    figure(
        "belfry_accounts_made_total",
        Kind::Counter,
        Unit::Count,
        &[],
        "Accounts that were made",
    ),
    figure(
        "belfry_bans",
        Kind::Gauge,
        Unit::Count,
        &["kind"],
        "Bans in force: of sites, VAPID keys (vapid), users and addresses",
    ),
    figure(
        "belfry_audit_total",
        Kind::Counter,
        Unit::Count,
        &["act"],
        "Acts of admins, and sign-ins of theirs that failed, by their word in the audit",
    ),
    figure(
        "belfry_delivery_seconds",
        Kind::Histogram,
        Unit::Seconds,
        &[],
        "Time from accepting a notification to its first device having it",
    ),
    figure(
        "belfry_acknowledgement_seconds",
        Kind::Histogram,
        Unit::Seconds,
        &[],
        "Time from accepting a notification to each device acknowledging it",
    ),
    figure(
        "belfry_commit_seconds",
        Kind::Histogram,
        Unit::Seconds,
        &[],
        "Time that the mailbox takes to write a batch and sync it",
    ),
    figure(
        "belfry_commit_batch_size",
        Kind::Histogram,
        Unit::Count,
        &[],
        "Commands in a batch of the mailbox",
    ),
    figure(
        "belfry_commit_failures_total",
        Kind::Counter,
        Unit::Count,
        &[],
        "Batches that the mailbox could not write; who waited was told to come back",
    ),
    figure(
        "belfry_bus_lag_seconds",
        Kind::Histogram,
        Unit::Seconds,
        &[],
        "Time that a notice of a commit is on the bus",
    ),
    figure(
        "belfry_bus_sweeps_total",
        Kind::Counter,
        Unit::Count,
        &["cause"],
        "Times that mailboxes were looked at without a hint from the bus",
    ),
];

/// Describes them all, and shows those without labels from the start: a rate needs its zero.
pub(super) fn describe() {
    for figure in &FIGURES {
        let (name, unit, help) = (figure.name, figure.unit, figure.help);
        let bare = figure.labels.is_empty();
        match figure.kind {
            Kind::Counter => {
                describe_counter!(name, unit, help);
                if bare {
                    counter!(name).increment(0);
                }
            }
            Kind::Gauge => {
                describe_gauge!(name, unit, help);
                if bare {
                    gauge!(name).increment(0.0);
                }
            }
            Kind::Histogram => {
                describe_histogram!(name, unit, help);
                if bare {
                    drop(histogram!(name));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    fn names() -> BTreeSet<String> {
        FIGURES
            .iter()
            .map(|figure| figure.name.to_owned())
            .collect()
    }

    /// What the sources count: the literal after `counter!(`, `gauge!(` or `histogram!(`.
    fn counted(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                counted(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with(file!())
            {
                let source = std::fs::read_to_string(&path).unwrap();
                for kind in ["counter!(", "gauge!(", "histogram!("] {
                    let calls = source.split(kind).skip(1).map(str::trim_start);
                    let literals =
                        calls.filter_map(|call| call.strip_prefix('"')?.split('"').next());
                    found.extend(literals.map(str::to_owned));
                }
            }
        }
    }

    #[test]
    fn what_is_counted_is_described_and_what_is_described_is_counted() {
        let mut found = BTreeSet::new();
        for folder in [
            "account", "admin", "bridge", "broker", "edge", "store", "src",
        ] {
            let folder = root().join(folder);
            let sources = folder.join("src");
            counted(
                if sources.is_dir() { &sources } else { &folder },
                &mut found,
            );
        }
        assert_eq!(found, names());
    }

    #[test]
    fn the_documentation_has_each_with_its_kind_labels_and_unit() {
        let page = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
        let rows = page.lines().filter(|line| line.starts_with("| `belfry_"));
        let rows: BTreeSet<&str> = rows.collect();
        let expected: BTreeSet<String> = FIGURES
            .iter()
            .map(|figure| {
                let labels: Vec<_> = figure
                    .labels
                    .iter()
                    .map(|label| format!("`{label}`"))
                    .collect();
                let unit = match figure.unit {
                    Unit::Seconds => "seconds",
                    Unit::Bytes => "bytes",
                    _ => "count",
                };
                let kind = format!("{:?}", figure.kind).to_lowercase();
                let (name, help) = (figure.name, figure.help);
                format!(
                    "| `{name}` | {kind} | {} | {unit} | {help} |",
                    labels.join(", ")
                )
            })
            .collect();
        assert_eq!(rows, expected.iter().map(String::as_str).collect());
    }

    #[test]
    fn every_name_is_of_the_form_that_prometheus_asks_for() {
        for figure in &FIGURES {
            let total = figure.name.ends_with("_total");
            assert_eq!(total, figure.kind == Kind::Counter, "{}", figure.name);
            assert!(figure.name.starts_with("belfry_"), "{}", figure.name);
            for label in figure.labels {
                assert!(!["user", "device", "site", "endpoint"].contains(label));
            }
        }
    }
}
