//! Cases of merging: each is tried in both orders, and once more on its own result.

use super::{LAPTOP, NEWS, NOW, USER, keyring, read};
use crate::keyring::merge::{REMOVED_KEPT_MS, merge, same_contents};
use serde_json::{Value, json};

const OTHER: &str = "fdixsuxy5oykjuo7wybaszdfn4";

fn ring(generation: u64, permissions: &Value) -> Value {
    json!({"user": USER, "epoch": 1, "generation": generation, "devices": [],
        "permissions": permissions, "settings": {}})
}

/// Only what merging looks at; the rest of an item goes with it.
fn item(id: &str, name: &str, changed: u64) -> Value {
    json!({"id": id, "name": name, "changed": changed})
}

fn gone(id: &str, changed: u64) -> Value {
    json!({"id": id, "removed": true, "changed": changed})
}

fn with(mut keyring: Value, field: &str, value: Value) -> Value {
    keyring[field] = value;
    keyring
}

fn cases() -> Vec<(&'static str, Value, Value)> {
    let (a, b) = (NEWS, OTHER);
    let one = |generation, item: Value| ring(generation, &json!([item]));
    let setting = |from: &str, changed: u64| json!({"quietHours": {"value": {"from": from}, "changed": changed}});
    let recovery = |key: &str, changed: u64| json!({"key": key, "proof": "p", "changed": changed});
    let nothing = || ring(17, &json!([]));
    vec![
        ("the same", keyring(1, 17), keyring(1, 17)),
        (
            "each added another permission",
            one(17, item(a, "A", NOW)),
            one(17, item(b, "B", NOW)),
        ),
        (
            "the server's is newer and has all",
            one(17, item(a, "A", NOW)),
            ring(19, &json!([item(a, "A", NOW), item(b, "B", NOW)])),
        ),
        (
            "the local change is later",
            one(17, item(a, "later", NOW + 1)),
            one(18, item(a, "earlier", NOW)),
        ),
        (
            "the server's change is later",
            one(17, item(a, "earlier", NOW)),
            one(18, item(a, "later", NOW + 1)),
        ),
        (
            "removed after it was changed",
            one(17, gone(a, NOW + 1)),
            one(17, item(a, "A", NOW)),
        ),
        (
            "changed after it was removed, by a device that did not know: removed",
            one(17, gone(a, NOW)),
            one(17, item(a, "A", NOW + 1)),
        ),
        (
            "a tie between removed and changed: removed",
            one(17, item(a, "A", NOW)),
            one(17, gone(a, NOW)),
        ),
        (
            "a tie between two changes: the greater JSON",
            one(17, item(a, "A", NOW)),
            one(17, item(a, "B", NOW)),
        ),
        (
            "a tie where keys decide: sorted, so the one with an earlier key is less",
            one(17, json!({"id": a, "changed": NOW, "alpha": "z"})),
            one(17, json!({"id": a, "changed": NOW, "zulu": "a"})),
        ),
        (
            "a tie decided by bytes of UTF-8, not by UTF-16 code units",
            one(17, item(a, "\u{ff5e}", NOW)),
            one(17, item(a, "\u{1f514}", NOW)),
        ),
        (
            "a tie where text is escaped",
            one(17, item(a, "\"\n\u{1}", NOW)),
            one(17, item(a, "!", NOW)),
        ),
        (
            "unknown fields go with their item",
            one(
                17,
                json!({"id": a, "changed": NOW + 1, "colour": {"b": 1, "a": [2, null]}}),
            ),
            one(17, json!({"id": a, "changed": NOW, "sound": true})),
        ),
        (
            "a field inside an item is not merged by itself",
            one(
                17,
                json!({"id": a, "changed": NOW, "name": "x", "renew": true}),
            ),
            one(17, json!({"id": a, "changed": NOW + 1, "name": "x"})),
        ),
        (
            "settings of both, also unknown ones",
            with(
                nothing(),
                "settings",
                json!({"quietHours": {"value": null, "changed": NOW}, "x": {"value": 1, "changed": NOW}}),
            ),
            with(
                nothing(),
                "settings",
                json!({"y": {"value": [], "more": 1, "changed": NOW}}),
            ),
        ),
        (
            "a setting changed on both",
            with(nothing(), "settings", setting("22:00", NOW)),
            with(nothing(), "settings", setting("23:00", NOW + 5)),
        ),
        (
            "a setting that was removed",
            with(nothing(), "settings", setting("22:00", NOW)),
            with(
                nothing(),
                "settings",
                json!({"quietHours": {"removed": true, "changed": NOW + 1}}),
            ),
        ),
        (
            "a setting that was made again after it was removed",
            with(nothing(), "settings", setting("22:00", NOW + 1)),
            with(
                nothing(),
                "settings",
                json!({"quietHours": {"removed": true, "changed": NOW}}),
            ),
        ),
        (
            "a phrase on one side only",
            with(nothing(), "recovery", recovery("k", NOW)),
            nothing(),
        ),
        (
            "two phrases: the later",
            with(nothing(), "recovery", recovery("new", NOW + 1)),
            with(nothing(), "recovery", recovery("old", NOW)),
        ),
        (
            "a device removed on one side and later named anew on the other",
            with(nothing(), "devices", json!([gone(LAPTOP, NOW)])),
            with(
                nothing(),
                "devices",
                json!([item(LAPTOP, "laptop", NOW + 1)]),
            ),
        ),
        (
            "a device removed on one side, another added on the other",
            with(nothing(), "devices", json!([gone(LAPTOP, NOW + 1)])),
            with(
                nothing(),
                "devices",
                json!([item(LAPTOP, "laptop", NOW), item(a, "tablet", NOW)]),
            ),
        ),
        (
            "unknown fields of the keyring: of both, and the greater JSON of one that differs",
            with(with(nothing(), "future", json!({"a": 1})), "left", json!(1)),
            with(
                with(nothing(), "future", json!({"a": 2})),
                "right",
                json!(2),
            ),
        ),
        (
            "what is gone for 90 days is forgotten, what is gone for less is not",
            ring(17, &json!([gone(a, NOW - REMOVED_KEPT_MS - 1)])),
            ring(17, &json!([gone(b, NOW - REMOVED_KEPT_MS)])),
        ),
        (
            "gone for 90 days on one side only: kept until the other knows of it",
            one(17, gone(a, NOW - REMOVED_KEPT_MS - 1)),
            one(17, item(a, "A", NOW - REMOVED_KEPT_MS - 2)),
        ),
        (
            "a device that was removed is remembered for good",
            with(nothing(), "devices", json!([gone(LAPTOP, 1)])),
            with(nothing(), "devices", json!([gone(LAPTOP, 1)])),
        ),
        (
            "that something is gone which the server's does not have is no reason to put",
            one(17, gone(a, NOW)),
            nothing(),
        ),
        (
            "that something was forgotten is no reason to put",
            nothing(),
            one(17, gone(a, NOW - REMOVED_KEPT_MS - 1)),
        ),
        (
            "the same id twice in one list",
            ring(
                17,
                &json!([item(a, "first", NOW), item(a, "second", NOW + 1)]),
            ),
            nothing(),
        ),
        (
            "a new epoch on the server and a local change",
            one(17, item(a, "A", NOW)),
            with(one(18, item(b, "B", NOW)), "epoch", json!(2)),
        ),
    ]
}

pub(super) fn made() -> Value {
    let made = cases().into_iter().map(|(name, local, remote)| {
        let (ours, theirs) = (read(&local), read(&remote));
        let merged = merge(&ours, &theirs, NOW);
        assert_eq!(
            merge(&theirs, &ours, NOW),
            merged,
            "{name}: in either order"
        );
        assert_eq!(merge(&merged, &theirs, NOW), merged, "{name}: again");
        let put = !same_contents(&merged, &theirs);
        json!({"name": name, "now": NOW, "local": local, "remote": remote,
            "merged": merged, "differsFromRemote": put})
    });
    made.collect()
}
