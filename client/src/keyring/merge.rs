//! Two keyrings of one user, written at the same time, into one.
//!
//! The later change of each item stays, so nothing that one device added is lost because another
//! wrote meanwhile, and what was taken away stays away; merging is the same in either order and done twice changes nothing.

use super::{Item, Keyring};
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// How long a permission or setting that is gone is remembered: a device that was away for longer
/// than this can bring it back.
pub const REMOVED_KEPT_MS: u64 = 90 * 24 * 60 * 60 * 1000;

/// Joins two keyrings. The epoch and the generation are the higher ones; who puts the result raises
/// the generation. Permissions and settings that are gone on both sides for longer than
/// [`REMOVED_KEPT_MS`] are left out; lists are sorted by id.
#[must_use]
pub fn merge(local: &Keyring, remote: &Keyring, now_ms: u64) -> Keyring {
    Keyring {
        user: remote.user,
        epoch: local.epoch.max(remote.epoch),
        generation: local.generation.max(remote.generation),
        // For good: a device that was away for long must not bring back one that was shut out.
        devices: lists(&local.devices, &remote.devices, now_ms, u64::MAX),
        recovery: options(local.recovery.as_ref(), remote.recovery.as_ref()).cloned(),
        permissions: lists(
            &local.permissions,
            &remote.permissions,
            now_ms,
            REMOVED_KEPT_MS,
        ),
        settings: settings(&local.settings, &remote.settings, now_ms),
        other: unknown(&local.other, &remote.other),
    }
}

/// Whether two keyrings say the same, whatever their generations and the order of their lists. That
/// something is gone which the other does not have says nothing: else two devices whose clocks differ
/// would put and forget it by turns.
#[must_use]
pub fn same_contents(one: &Keyring, other: &Keyring) -> bool {
    one.user == other.user
        && one.epoch == other.epoch
        && one.recovery == other.recovery
        && one.other == other.other
        && same_items(&by_id(&one.devices), &by_id(&other.devices))
        && same_items(&by_id(&one.permissions), &by_id(&other.permissions))
        && same_items(&one.settings, &other.settings)
}

fn by_id(items: &[Item]) -> BTreeMap<String, Item> {
    let items = items.iter();
    items
        .map(|item| (item.id().to_owned(), item.clone()))
        .collect()
}

fn same_items(one: &BTreeMap<String, Item>, other: &BTreeMap<String, Item>) -> bool {
    let same = |(id, item): (&String, &Item)| match other.get(id) {
        Some(there) => there == item,
        None => item.removed(),
    };
    let known = |(id, item): (&String, &Item)| one.contains_key(id) || item.removed();
    one.iter().all(same) && other.iter().all(known)
}

/// JSON with the keys of every object sorted by their bytes, and no spaces.
pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let mut fields: Vec<_> = object.iter().collect();
            fields.sort_by_key(|(name, _)| name.as_bytes());
            let fields = fields.into_iter().map(|(name, value)| {
                let name = Value::from(name.as_str());
                format!("{name}:{}", canonical(value))
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(values) => {
            let values: Vec<_> = values.iter().map(canonical).collect();
            format!("[{}]", values.join(","))
        }
        other => other.to_string(),
    }
}

/// The later change; of two at the same time the one that is gone, then the greater by its bytes.
fn later<'a>(one: &'a Item, other: &'a Item) -> &'a Item {
    let order = one
        .changed()
        .cmp(&other.changed())
        .then_with(|| one.removed().cmp(&other.removed()))
        .then_with(|| one.canonical().as_bytes().cmp(other.canonical().as_bytes()));
    match order {
        Ordering::Less => other,
        Ordering::Equal | Ordering::Greater => one,
    }
}

/// The one that is gone, then the later: an id is never given twice, so a device that was shut out
/// stays out, whoever named it anew meanwhile.
fn gone_or_later<'a>(one: &'a Item, other: &'a Item) -> &'a Item {
    match (one.removed(), other.removed()) {
        (true, false) => one,
        (false, true) => other,
        _ => later(one, other),
    }
}

fn options<'a>(one: Option<&'a Item>, other: Option<&'a Item>) -> Option<&'a Item> {
    match (one, other) {
        (Some(one), Some(other)) => Some(later(one, other)),
        (one, other) => one.or(other),
    }
}

/// The items that stay, by id. One that is gone for long is forgotten, unless this very merge took
/// it from a keyring that still had it: that one has to hear of it first.
fn join<'a>(
    items: impl Iterator<Item = (&'a str, &'a Item)> + Clone,
    stays: fn(&'a Item, &'a Item) -> &'a Item,
    now_ms: u64,
    kept_ms: u64,
) -> BTreeMap<&'a str, &'a Item> {
    let mut joined: BTreeMap<&str, &Item> = BTreeMap::new();
    let mut there: BTreeSet<&str> = BTreeSet::new();
    for (id, item) in items {
        let stays = joined.get(id).map_or(item, |other| stays(other, item));
        joined.insert(id, stays);
        if !item.removed() {
            there.insert(id);
        }
    }
    joined
        .retain(|id, item| there.contains(id) || item.changed().saturating_add(kept_ms) >= now_ms);
    joined
}

fn lists(local: &[Item], remote: &[Item], now_ms: u64, kept_ms: u64) -> Vec<Item> {
    let all = local.iter().chain(remote).map(|item| (item.id(), item));
    let joined = join(all, gone_or_later, now_ms, kept_ms);
    joined.into_values().cloned().collect()
}

fn settings(
    local: &BTreeMap<String, Item>,
    remote: &BTreeMap<String, Item>,
    now_ms: u64,
) -> BTreeMap<String, Item> {
    let all = local.iter().chain(remote);
    let all = all.map(|(name, item)| (name.as_str(), item));
    let stay = join(all, later, now_ms, REMOVED_KEPT_MS).into_iter();
    stay.map(|(name, item)| (name.to_owned(), item.clone()))
        .collect()
}

/// Fields that this client does not know have no time: of two that differ the greater stays.
fn unknown(local: &Map<String, Value>, remote: &Map<String, Value>) -> Map<String, Value> {
    let mut joined = local.clone();
    for (name, value) in remote {
        let greater = joined
            .get(name)
            .is_none_or(|there| canonical(there).as_bytes() < canonical(value).as_bytes());
        if greater {
            joined.insert(name.clone(), value.clone());
        }
    }
    joined
}
