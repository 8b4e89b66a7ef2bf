//! `belfry bench` measures: each measurement runs to its end and says what it promises to say. How
//! fast anything was is nothing that a test could judge.

use serde_json::Value;
use std::process::Command;

fn bench(arguments: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_belfry"))
        .args(["bench", "--json"])
        .args(arguments)
        .arg("--dir")
        .arg(folder.path())
        .output()
        .expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 0, "the server's data is removed");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("JSON lines")
}

fn positive(value: &Value, name: &str) {
    let number = value[name].as_f64();
    assert!(number.is_some_and(|number| number > 0.0), "{name}: {value}");
}

#[test]
fn accepts_are_counted_and_compared_to_the_disk() {
    let lines = bench(&["accept", "--posters", "1,8", "--seconds", "1"]);
    let [disk, one, eight] = &lines[..] else {
        panic!("{lines:?}");
    };
    positive(disk, "synced_appends_per_second");
    for (accepted, posters) in [(one, 1), (eight, 8)] {
        assert_eq!(accepted["posters"], posters);
        positive(accepted, "accepts_per_second");
        positive(accepted, "ratio_to_disk");
        positive(&accepted["post_to_201"], "p50_ms");
    }
}

#[test]
fn many_in_a_call_are_compared_to_single_posts() {
    let lines = bench(&[
        "batch",
        "--connections",
        "2",
        "--seconds",
        "1",
        "--permissions",
        "1000",
        "--users",
        "50",
    ]);
    let [refused, few, many, single, json, stream] = &lines[..] else {
        panic!("{lines:?}");
    };
    for (memory, items, accepted) in [
        (refused, 1_000, false),
        (few, 100, true),
        (many, 1_000, true),
    ] {
        assert_eq!(
            (&memory["items"], &memory["accepted"]),
            (&items.into(), &accepted.into())
        );
        positive(memory, "before_bytes");
        positive(memory, "peak_bytes");
    }
    for (sent, way) in [(single, "single"), (json, "json"), (stream, "stream")] {
        assert_eq!(sent["way"], way);
        for name in [
            "items_per_second",
            "ratio_to_single",
            "ratio_to_disk",
            "server_microseconds",
        ] {
            positive(sent, name);
        }
    }
}

#[test]
fn latency_is_measured_from_the_post_to_the_device() {
    let lines = bench(&[
        "latency",
        "--rate",
        "50",
        "--seconds",
        "1",
        "--devices",
        "5",
    ]);
    let [measured] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(measured["posts_per_second"], 50);
    positive(&measured["post_to_201"], "p50_ms");
    positive(&measured["post_to_device"], "p99_ms");
}

#[test]
fn idle_devices_are_weighed() {
    let lines = bench(&["idle", "--devices", "200"]);
    let [measured] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(measured["devices"], 200);
    positive(measured, "before_bytes");
    positive(measured, "bytes_per_device");
}

#[test]
fn hostile_clients_are_felt_and_compared_to_an_innocent_program() {
    let lines = bench(&[
        "bystander",
        "--rate",
        "50",
        "--seconds",
        "1",
        "--load",
        "pings,pipelines",
    ]);
    let [quiet, pings, pipelines] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(quiet["posts_per_second"], 50);
    positive(&quiet["post_to_device"], "p99_ms");
    for (under, load) in [(pings, "pings"), (pipelines, "pipelines")] {
        assert_eq!(under["load"], load);
        positive(&under["post_to_device"], "p99_ms");
        positive(&under["control"], "p99_ms");
        for ratio in ["p50_ratio", "p99_ratio", "control_p99_ratio"] {
            positive(under, ratio);
        }
    }
}

#[test]
fn a_storm_is_weathered_without_an_error() {
    let lines = bench(&[
        "storm",
        "--devices",
        "200",
        "--queued",
        "40",
        "--bystanders",
        "5",
        "--seconds",
        "1",
    ]);
    let [measured] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(
        (&measured["devices"], &measured["errors"]),
        (&200.into(), &0.into())
    );
    for name in ["seconds", "connects_per_second", "processor_seconds"] {
        positive(measured, name);
    }
    for name in ["caught_up", "bystanders_in_quiet", "bystanders_in_storm"] {
        positive(&measured[name], "p99_ms");
    }
}

#[test]
fn what_times_tell_is_compared_in_pairs() {
    let lines = bench(&[
        "privacy",
        "--samples",
        "20",
        "--sign-ins",
        "5",
        "--pause-ms",
        "0",
    ]);
    let pairs = [
        ("muted", "allowed", 20),
        ("online", "absent", 20),
        ("full", "empty", 20),
        ("known", "unknown", 5),
    ];
    assert_eq!(lines.len(), pairs.len(), "{lines:?}");
    for (line, (one, other, samples)) in lines.iter().zip(pairs) {
        assert_eq!((&line["one"], &line["other"]), (&one.into(), &other.into()));
        assert_eq!(line["samples"], samples);
        positive(line, "one_p50_us");
        positive(line, "other_p50_us");
        positive(line, "chance");
        let longer = line["longer"].as_f64();
        assert!(
            longer.is_some_and(|longer| (0.0..=1.0).contains(&longer)),
            "{line}"
        );
    }
}

#[test]
fn a_flood_is_felt_and_what_it_costs_is_counted() {
    let lines = bench(&["flood", "--quota", "20", "--seconds", "1"]);
    let [felt, costs @ ..] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(felt["quiet_posts_per_second"], 10);
    for name in ["refused_per_second", "p99_ratio", "control_p99_ratio"] {
        positive(felt, name);
    }
    for name in ["quiet", "flooded", "control"] {
        positive(&felt[name], "p99_ms");
    }
    let posts: Vec<_> = costs.iter().map(|cost| &cost["post"]).collect();
    assert_eq!(posts, ["over quota", "no endpoint", "served", "blocked"]);
    for cost in costs {
        positive(cost, "requests_per_second");
        positive(cost, "server_microseconds");
    }
}
