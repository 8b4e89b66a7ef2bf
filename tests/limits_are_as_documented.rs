//! Promise: each limit that `docs/abuse.md` names is a setting, and has the default that it says.

use belfry_config::Config;
use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = include_str!("../docs/abuse.md");

/// Every setting by its dotted key, with its default where it has one.
fn settings() -> BTreeMap<String, Option<String>> {
    let mut settings = BTreeMap::new();
    let mut section = String::new();
    for line in Config::default().show().lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((key, value)) = line.split_once(" = ") {
            settings.insert(format!("{section}{key}"), Some(value.to_owned()));
        }
    }
    // Those without a default are in the example file alone.
    for line in include_str!("../deploy/belfry.toml").lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((key, _)) = line.trim_start_matches('#').split_once(" = ")
            && line.starts_with('#')
            && !key.contains(' ')
        {
            settings.entry(format!("{section}{key}")).or_insert(None);
        }
    }
    settings
}

/// What stands between backticks, in pairs with what follows each.
fn code(page: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts: Vec<_> = page.split('`').collect();
    let pairs = (1..parts.len().saturating_sub(1)).step_by(2);
    pairs
        .map(|at| (parts[at], parts[at + 1]))
        .collect::<Vec<_>>()
        .into_iter()
}

fn is_key(text: &str) -> bool {
    let sections = [
        "limits.",
        "retention.",
        "mqtt.",
        "http.",
        "health.",
        "webhooks.",
        "accounts.",
    ];
    sections.iter().any(|section| text.starts_with(section))
}

/// What is wrong with a page.
fn problems(page: &str) -> Vec<String> {
    let settings = settings();
    let words: Vec<_> = code(page).collect();
    let mut problems = Vec::new();
    for (at, (key, then)) in words.iter().enumerate().filter(|(_, (key, _))| is_key(key)) {
        match settings.get(*key) {
            None => problems.push(format!("{key} is no setting")),
            Some(default) => {
                let stated = (*then == " = ").then(|| words.get(at + 1).map(|(value, _)| *value));
                let stated = stated.flatten();
                if stated.is_some() && stated != default.as_deref() {
                    problems.push(format!("{key} is {default:?}, not {stated:?}"));
                }
            }
        }
    }
    problems
}

#[test]
fn every_limit_is_a_setting_with_the_default_that_is_stated() {
    assert_eq!(problems(PAGE), Vec::<String>::new());
    let named: BTreeSet<&str> = code(PAGE).map(|(word, _)| word).collect();
    for key in settings().keys().filter(|key| key.starts_with("limits.")) {
        assert!(named.contains(&**key), "{key} is a limit and is not there");
    }
}

#[test]
fn a_page_that_is_wrong_is_found_out() {
    let check = |page: &str, count| assert_eq!(problems(page).len(), count, "{page}");
    check("`limits.site_per_second` = `600`", 0);
    check("`limits.site_per_second` = `601`", 1);
    check("`limits.sites_per_second`", 1);
    check("`mqtt.connect_timeout` = `\"5s\"`, `limits.connections`", 0);
    check("`limits.connections` = `5`", 1);
}
