//! The topics under `u/{user}/` and the filters that a device may subscribe with.
//!
//! A filter is a compact enum, not a string: thousands of idle sessions each keep a few.

use crate::id::{DeviceId, PermissionId, UserId};
use std::fmt;

/// Longest topic or filter below `u/{user}/x/`, in bytes.
pub const PRIVATE_TOPIC_BYTES_MAX: usize = 512;

/// A topic outside the grammar that a device of this user can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a topic of this user")]
pub struct ForeignTopic;

/// A topic of one user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// `u/{user}/n/{permission}`: notifications, published by the server alone.
    Notification(PermissionId),
    /// `u/{user}/events`: what changed, published by the server alone.
    Events,
    /// `u/{user}/d/{device}/presence`: published by that device.
    Presence(DeviceId),
    /// `u/{user}/d/{device}/seen`: published by that device.
    Seen(DeviceId),
    /// `u/{user}/x/{name}`: the user's private space. The name has no wildcard.
    Private(PrivateTopic),
}

/// What follows `u/{user}/x/` in a topic: 1 to [`PRIVATE_TOPIC_BYTES_MAX`] bytes, no wildcard.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrivateTopic(Box<str>);

impl PrivateTopic {
    /// Checks the part of a topic after `u/{user}/x/`.
    ///
    /// # Errors
    /// Empty, too long, or with a wildcard or U+0000.
    pub fn new(name: &str) -> Result<Self, ForeignTopic> {
        let fits = (1..=PRIVATE_TOPIC_BYTES_MAX).contains(&name.len());
        if fits && !name.contains(['+', '#', '\0']) {
            Ok(Self(name.into()))
        } else {
            Err(ForeignTopic)
        }
    }

    /// The text after `u/{user}/x/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Topic {
    /// Reads a topic name that a device of `user` wants to publish to.
    ///
    /// # Errors
    /// Anything outside `u/{user}/…` and its grammar.
    pub fn parse(user: UserId, name: &str) -> Result<Self, ForeignTopic> {
        let rest = below(user, name)?;
        if rest == "events" {
            return Ok(Self::Events);
        }
        let (kind, rest) = rest.split_once('/').ok_or(ForeignTopic)?;
        match kind {
            "n" => rest
                .parse()
                .map(Self::Notification)
                .map_err(|_| ForeignTopic),
            "x" => PrivateTopic::new(rest).map(Self::Private),
            "d" => {
                let (device, leaf) = rest.split_once('/').ok_or(ForeignTopic)?;
                let device = device.parse().map_err(|_| ForeignTopic)?;
                match leaf {
                    "presence" => Ok(Self::Presence(device)),
                    "seen" => Ok(Self::Seen(device)),
                    _ => Err(ForeignTopic),
                }
            }
            _ => Err(ForeignTopic),
        }
    }

    /// The full topic name.
    pub fn name(&self, user: UserId) -> String {
        match self {
            Self::Notification(permission) => format!("u/{user}/n/{permission}"),
            Self::Events => format!("u/{user}/events"),
            Self::Presence(device) => format!("u/{user}/d/{device}/presence"),
            Self::Seen(device) => format!("u/{user}/d/{device}/seen"),
            Self::Private(topic) => format!("u/{user}/x/{}", topic.as_str()),
        }
    }
}

/// A filter that a device may hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Filter {
    /// `u/{user}/n/{permission}`.
    Notification(PermissionId),
    /// `u/{user}/n/+`.
    NotificationsOneLevel,
    /// `u/{user}/n/#`.
    Notifications,
    /// `u/{user}/#`.
    Everything,
    /// `u/{user}/events`.
    Events,
    /// `u/{user}/x/{pattern}`: the pattern may hold wildcards.
    Private(Box<str>),
}

impl Filter {
    /// Reads a topic filter that a device of `user` wants to subscribe with.
    ///
    /// # Errors
    /// Anything outside `u/{user}/…`, and wildcards in other places than the contract grants.
    pub fn parse(user: UserId, filter: &str) -> Result<Self, ForeignTopic> {
        match below(user, filter)? {
            "#" => Ok(Self::Everything),
            "events" => Ok(Self::Events),
            "n/+" => Ok(Self::NotificationsOneLevel),
            "n/#" => Ok(Self::Notifications),
            rest => match rest.split_once('/') {
                Some(("n", id)) => id.parse().map(Self::Notification).map_err(|_| ForeignTopic),
                Some(("x", pattern)) if is_pattern(pattern) => Ok(Self::Private(pattern.into())),
                _ => Err(ForeignTopic),
            },
        }
    }

    /// Whether what is published on `topic` goes to this filter. Presence and seen topics are for
    /// the server alone, so no filter matches them.
    pub fn matches(&self, topic: &Topic) -> bool {
        match (self, topic) {
            (Self::Everything, Topic::Notification(_) | Topic::Events | Topic::Private(_))
            | (Self::Notifications | Self::NotificationsOneLevel, Topic::Notification(_))
            | (Self::Events, Topic::Events) => true,
            (Self::Notification(wanted), Topic::Notification(permission)) => wanted == permission,
            (Self::Private(pattern), Topic::Private(name)) => {
                pattern_matches(pattern, name.as_str())
            }
            _ => false,
        }
    }

    /// The full filter text.
    pub fn text(&self, user: UserId) -> String {
        match self {
            Self::Notification(permission) => format!("u/{user}/n/{permission}"),
            Self::NotificationsOneLevel => format!("u/{user}/n/+"),
            Self::Notifications => format!("u/{user}/n/#"),
            Self::Everything => format!("u/{user}/#"),
            Self::Events => format!("u/{user}/events"),
            Self::Private(pattern) => format!("u/{user}/x/{pattern}"),
        }
    }
}

impl fmt::Display for PrivateTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What follows `u/{user}/`.
fn below(user: UserId, topic: &str) -> Result<&str, ForeignTopic> {
    let (id, rest) = topic
        .strip_prefix("u/")
        .and_then(|rest| rest.split_once('/'))
        .ok_or(ForeignTopic)?;
    match id.parse::<UserId>() {
        Ok(named) if named == user => Ok(rest),
        _ => Err(ForeignTopic),
    }
}

/// Whether this is a well-formed filter (MQTT 5.0 §4.7.1): `+` fills a level, `#` the last one.
fn is_pattern(pattern: &str) -> bool {
    if pattern.is_empty() || pattern.len() > PRIVATE_TOPIC_BYTES_MAX || pattern.contains('\0') {
        return false;
    }
    let mut levels = pattern.split('/').peekable();
    while let Some(level) = levels.next() {
        let last = levels.peek().is_none();
        let fits = match level {
            "+" => true,
            "#" => last,
            _ => !level.contains(['+', '#']),
        };
        if !fits {
            return false;
        }
    }
    true
}

/// MQTT 5.0 §4.7.1: `a/#` also matches its parent `a`.
fn pattern_matches(pattern: &str, name: &str) -> bool {
    let mut levels = pattern.split('/');
    let mut names = name.split('/');
    loop {
        match (levels.next(), names.next()) {
            (Some("#"), _) => return true,
            (Some("+"), Some(_)) => {}
            (Some(level), Some(name)) if level == name => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn user() -> UserId {
        UserId::from_bytes([3; 16])
    }

    #[test]
    fn topics_of_the_user_and_no_others() {
        let permission = PermissionId::from_bytes([4; 16]);
        let device = DeviceId::from_bytes([5; 16]);
        let check = |rest: String, expected: Result<Topic, ForeignTopic>| {
            let name = format!("u/{}/{rest}", user());
            let topic = Topic::parse(user(), &name);
            assert_eq!(topic, expected, "{name}");
            if let Ok(topic) = topic {
                assert_eq!(topic.name(user()), name);
            }
        };
        check(
            format!("n/{permission}"),
            Ok(Topic::Notification(permission)),
        );
        check("events".into(), Ok(Topic::Events));
        check(format!("d/{device}/presence"), Ok(Topic::Presence(device)));
        check(format!("d/{device}/seen"), Ok(Topic::Seen(device)));
        let private = PrivateTopic::new("a//b").expect("valid");
        check("x/a//b".into(), Ok(Topic::Private(private)));
        for foreign in [
            "", "n", "n/", "n/zz", "events/", "x/", "x", "x/a/+", "x/#", "d/x/seen", "other",
        ] {
            check(foreign.into(), Err(ForeignTopic));
        }
        check(format!("d/{device}/other"), Err(ForeignTopic));
        check(format!("x/{}", "a".repeat(513)), Err(ForeignTopic));
        let stranger = UserId::from_bytes([9; 16]);
        let name = format!("u/{}/events", user());
        assert_eq!(Topic::parse(stranger, &name), Err(ForeignTopic));
    }

    #[test]
    fn filters_are_the_granted_ones_and_no_others() {
        let permission = PermissionId::from_bytes([4; 16]);
        let check = |rest: String, granted: bool| {
            let text = format!("u/{}/{rest}", user());
            let filter = Filter::parse(user(), &text);
            assert_eq!(filter.is_ok(), granted, "{text}");
            if let Ok(filter) = filter {
                assert_eq!(filter.text(user()), text);
            }
        };
        for granted in [
            "#", "events", "n/+", "n/#", "x/#", "x/+", "x/a/+/b", "x/a/#", "x//",
        ] {
            check(granted.into(), true);
        }
        check(format!("n/{permission}"), true);
        for refused in [
            "+", "+/#", "n", "n/a", "n/+/+", "x/a#", "x/a+", "x/#/a", "x/", "d/#", "events/#", "",
        ] {
            check(refused.into(), false);
        }
        for foreign in ["#", "u/#", "u/+/events", "$share/g/u/+/n/#", "$SYS/#"] {
            assert_eq!(
                Filter::parse(user(), foreign),
                Err(ForeignTopic),
                "{foreign}"
            );
        }
    }

    #[test]
    fn private_patterns_match_as_the_specification_says() {
        let check = |pattern: &str, name: &str, expected| {
            assert_eq!(pattern_matches(pattern, name), expected, "{pattern} {name}");
        };
        check("a/#", "a", true);
        check("a/#", "a/b/c", true);
        check("#", "a", true);
        check("+", "a", true);
        check("+", "a/b", false);
        check("+/+", "/a", true);
        check("a/+", "a", false);
        check("a/+", "a/", true);
        check("a", "b", false);
        check("a/b", "a", false);
    }

    proptest! {
        #[test]
        fn reading_a_topic_or_filter_never_fails_otherwise(rest in "[nxd/+#a-z$\0]{0,60}") {
            let text = format!("u/{}/{rest}", user());
            if let Ok(filter) = Filter::parse(user(), &text) {
                prop_assert_eq!(filter.text(user()), text.clone());
            }
            if let Ok(topic) = Topic::parse(user(), &text) {
                prop_assert_eq!(topic.name(user()), text.clone());
                // A topic that is read is matched by itself as a filter, where that is granted.
                if let Ok(filter) = Filter::parse(user(), &text) {
                    prop_assert!(filter.matches(&topic));
                }
            }
        }

        #[test]
        fn a_wildcard_stands_for_any_level(name in "[a-c/]{1,12}", level in 0usize..6) {
            let pattern: Vec<_> = name.split('/').enumerate()
                .map(|(i, part)| if i == level { "+" } else { part }).collect();
            prop_assert!(pattern_matches(&pattern.join("/"), &name));
            let open: Vec<_> = name.split('/').take(level).chain(["#"]).collect();
            prop_assert!(pattern_matches(&open.join("/"), &name));
        }
    }
}
