//! Promise: the crates depend on each other only as the map in ARCHITECTURE.md draws it, foreign
//! engines stay behind the one crate that owns them, and nothing with a known hole is built in.
//!
//! It reads what Cargo itself reads, the manifests and the lock file, and never the network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Each crate with the crates of this workspace that it may name, also in tests and build scripts.
const ARROWS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("acl", &["protocol"]),
    ("config", &["protocol"]),
    ("store", &["protocol", "acl", "config"]),
    ("broker", &["protocol", "acl", "config", "store"]),
    ("edge", &["protocol", "acl", "config", "store"]),
    (
        "bridge",
        &["protocol", "acl", "config", "store", "broker", "edge"],
    ),
    (
        "account",
        &["protocol", "acl", "config", "store", "broker", "edge"],
    ),
    (
        "admin",
        &["protocol", "acl", "config", "store", "broker", "edge"],
    ),
    ("client", &["protocol"]),
    (
        "belfry",
        &[
            "protocol", "acl", "config", "store", "broker", "edge", "bridge", "account", "admin",
            "client",
        ],
    ),
];

/// Foreign crates that only one crate may name, so that each can be replaced in one place.
const OWNED: &[(&str, &str)] = &[
    ("rumqttd", "broker"),
    ("async-nats", "broker"),
    ("sqlx", "store"),
    ("fjall", "store"),
];

/// Crates with published advisories and the first version without them; `None`: no version will
/// do, since the crate is no longer maintained.
const KNOWN_BAD: &[(&str, Option<Version>)] = &[
    ("rustls-webpki", Some((0, 103, 13))),
    ("rustls", Some((0, 23, 45))),
    ("rustls-pemfile", None),
];

type Version = (u64, u64, u64);

#[test]
fn crates_use_only_the_rows_above_them() {
    let crates = workspace();
    let drawn: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let built: BTreeSet<&str> = crates.keys().map(String::as_str).collect();
    assert_eq!(built, drawn, "the workspace and the map differ");

    let wrong: Vec<String> = ARROWS
        .iter()
        .flat_map(|(name, may_use)| {
            crates[*name]
                .iter()
                .filter(|used| drawn.contains(used.as_str()) && !may_use.contains(&used.as_str()))
                .map(move |used| format!("{name} -> {used}"))
        })
        .collect();
    assert!(wrong.is_empty(), "arrows off the map: {wrong:?}");
}

#[test]
fn foreign_engines_have_one_owner() {
    let crates = workspace();
    let wrong: Vec<String> = OWNED
        .iter()
        .flat_map(|(foreign, owner)| {
            crates
                .iter()
                .filter(move |(name, used)| name.as_str() != *owner && used.contains(*foreign))
                .map(move |(name, _)| format!("{name} names {foreign}, which belongs to {owner}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn no_known_bad_crates() {
    let packages = locked_packages();
    let wrong: Vec<String> = packages
        .iter()
        .filter(|(name, version)| is_known_bad(name, *version))
        .map(|(name, version)| format!("{name} {version:?}"))
        .collect();
    assert!(wrong.is_empty(), "with known advisories: {wrong:?}");
}

/// The crates of the workspace, without their common prefix, each with everything it names.
fn workspace() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs this test, so it is there");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    list(&metadata["packages"])
        .iter()
        .map(|package| {
            let used = list(&package["dependencies"]).iter().map(short_name);
            (short_name(package), used.collect())
        })
        .collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("cargo metadata has a list here")
}

fn short_name(named: &Value) -> String {
    let name = named["name"].as_str().expect("everything here has a name");
    name.strip_prefix("belfry-").unwrap_or(name).to_owned()
}

fn locked_packages() -> Vec<(String, Version)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let lock = std::fs::read_to_string(path).expect("the lock file is committed");
    let packages: Vec<_> = lock
        .split("[[package]]")
        .skip(1)
        .map(|package| {
            let name = field(package, "name").to_owned();
            (name, version(field(package, "version")))
        })
        .collect();
    assert!(
        packages.iter().any(|(name, _)| name == "belfry"),
        "the lock file is not in the form this test reads"
    );
    packages
}

fn field<'a>(package: &'a str, key: &str) -> &'a str {
    package
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))
        .map(|value| value.trim_matches('"'))
        .expect("each locked package has a name and a version")
}

/// The three numbers of a version; a pre-release counts as its release.
fn version(text: &str) -> Version {
    let release = text.split(['-', '+']).next().unwrap_or(text);
    let numbers: Vec<u64> = release
        .split('.')
        .map(|number| number.parse().expect("a version is three numbers"))
        .collect();
    (numbers[0], numbers[1], numbers[2])
}

fn is_known_bad(name: &str, version: Version) -> bool {
    KNOWN_BAD
        .iter()
        .any(|(bad, fixed)| *bad == name && fixed.is_none_or(|fixed| version < fixed))
}

#[test]
fn a_fixed_version_is_taken_and_an_older_one_is_not() {
    let check = |name, text, expected| assert_eq!(is_known_bad(name, version(text)), expected);
    check("rustls-webpki", "0.102.8", true);
    check("rustls-webpki", "0.103.13", false);
    check("rustls", "0.23.9", true);
    check("rustls", "0.24.0-dev.1", false);
    check("rustls-pemfile", "2.2.0", true);
    check("ring", "0.17.0", false);
}
