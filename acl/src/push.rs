//! Whether a site may push to an endpoint.

/// What the user has made of a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Notifications are shown.
    Allowed,
    /// Stored and synced, never shown; a site cannot tell it from allowed.
    Muted,
    /// Gone for good.
    Revoked,
}

/// The answer to a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may go on.
    Allow,
    /// It may not.
    Deny(Reason),
}

/// Why a push is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The user revoked the permission.
    #[error("the permission was revoked")]
    Revoked,
    /// The site or the user is blocked.
    #[error("the site is blocked")]
    Blocked,
    /// The permission is restricted (RFC 8292 §4) and no key was proven.
    #[error("this endpoint takes only requests signed with its application server key")]
    KeyMissing,
    /// Another key was proven than the permission is restricted to.
    #[error("the token is signed with another key than this endpoint is restricted to")]
    KeyDiffers,
}

/// Decides a push: `restricted_to` is the permission's application server key, `proven` the key
/// whose signature was verified, both as uncompressed points.
pub fn decide(
    standing: Standing,
    blocked: bool,
    restricted_to: Option<&[u8]>,
    proven: Option<&[u8]>,
) -> Decision {
    match (standing, blocked, restricted_to, proven) {
        (Standing::Revoked, ..) => Decision::Deny(Reason::Revoked),
        (_, true, ..) => Decision::Deny(Reason::Blocked),
        (_, _, Some(_), None) => Decision::Deny(Reason::KeyMissing),
        (_, _, Some(wanted), Some(proven)) if wanted != proven => {
            Decision::Deny(Reason::KeyDiffers)
        }
        _ => Decision::Allow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_needs_a_standing_permission_and_its_key() {
        let check = |standing, blocked, wanted: Option<&[u8]>, proven: Option<&[u8]>, expected| {
            assert_eq!(decide(standing, blocked, wanted, proven), expected);
        };
        let (a, b): (Option<&[u8]>, Option<&[u8]>) = (Some(&[1]), Some(&[2]));
        check(Standing::Allowed, false, None, None, Decision::Allow);
        check(Standing::Allowed, false, None, a, Decision::Allow);
        check(Standing::Muted, false, a, a, Decision::Allow);
        let deny = Decision::Deny;
        check(Standing::Allowed, false, a, None, deny(Reason::KeyMissing));
        check(Standing::Allowed, false, a, b, deny(Reason::KeyDiffers));
        check(Standing::Muted, true, None, None, deny(Reason::Blocked));
        check(Standing::Revoked, true, a, None, deny(Reason::Revoked));
    }
}
