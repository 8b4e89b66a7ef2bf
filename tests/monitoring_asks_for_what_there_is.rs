//! Promise: the alert rules and the dashboard of `docs/operations` ask for metrics and labels that there
//! are, in queries that Prometheus understands; and each alert is explained.

use crate::harness::peers;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn operations(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/operations")
        .join(file)
}

/// What the judge printed, and whether all was well.
fn judge(alerts: &Path, dashboard: &Path) -> (bool, String) {
    let metrics = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let output = Command::new("node")
        .arg(peers().join("promql.mjs"))
        .args([&metrics, alerts, dashboard])
        .stdin(Stdio::null())
        .output();
    let output = output.expect("node runs; ./dev test installs what it needs");
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    (output.status.success(), printed)
}

#[test]
fn every_query_is_understood_and_every_alert_explained() {
    let (well, printed) = judge(&operations("alerts.yml"), &operations("grafana.json"));
    assert!(well, "{printed}");
    let found: Value = serde_json::from_str(printed.lines().last().expect("a line")).expect("JSON");
    assert!(found["panels"].as_u64() > Some(20), "{found}");
    let page = std::fs::read_to_string(operations("README.md")).expect("a page");
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `Belfry"));
    let explained: Vec<_> = rows.filter_map(|row| row.split('`').next()).collect();
    let alerts = found["alerts"].as_array().expect("alerts").iter();
    let alerts: Vec<_> = alerts
        .map(|alert| alert.as_str().expect("a name"))
        .map(|alert| alert.strip_prefix("Belfry").expect("ours"))
        .collect();
    assert_eq!(explained, alerts);
}

#[test]
fn a_query_that_asks_for_nothing_that_there_is_is_found_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = std::fs::read_to_string(operations("alerts.yml")).expect("rules");
    for (was, is, said) in [
        (
            "belfry_disk_free_bytes",
            "belfry_disc_free_bytes",
            "no metric",
        ),
        (
            "{reason=\"unavailable\"}",
            "{cause=\"unavailable\"}",
            "no label cause",
        ),
        (
            "by (instance, check)",
            "by (instance, checks)",
            "the label checks",
        ),
        (
            "increase(belfry_commit_failures_total[5m])",
            "belfry_commit_failures_total",
            "its rate",
        ),
        ("== 1", "== = 1", "not PromQL"),
    ] {
        assert!(good.contains(was), "{was}");
        let file = folder.path().join("alerts.yml");
        std::fs::write(&file, good.replace(was, is)).expect("written");
        let (well, printed) = judge(&file, &operations("grafana.json"));
        assert!(!well && printed.contains(said), "{is}: {printed}");
    }
}
