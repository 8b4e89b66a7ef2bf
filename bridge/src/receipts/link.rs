//! The receipt subscription that a post names (RFC 8030 §5.1), as a link (RFC 8288) of its relation.

use crate::Inner;
use crate::prefer::split;
use axum::http::{HeaderMap, header};
use belfry_edge::ApiError;
use belfry_store::mailbox::Owner;

/// The relation of receipt subscriptions.
pub(crate) const RELATION: &str = "urn:ietf:params:push:receipt";
/// What their paths begin with.
pub(crate) const PATH: &str = "/push/receipts/";

impl Inner {
    /// The receipt subscription that the headers name; whether it is there, the mailbox says.
    ///
    /// # Errors
    /// 400 for what is none of this server's.
    pub(crate) fn named_receipts(&self, headers: &HeaderMap) -> Result<Option<Owner>, ApiError> {
        let mut named = None;
        for value in headers.get_all(header::LINK) {
            let value = value.to_str().map_err(|_| not_a_link())?;
            for target in targets(value).ok_or_else(not_a_link)? {
                let owner = self.receipts_at(target).ok_or_else(|| {
                    ApiError::malformed("Link", "there is no such receipt subscription")
                })?;
                if named.replace(owner).is_some_and(|other| other != owner) {
                    let detail = "a post has one receipt subscription";
                    return Err(ApiError::malformed("Link", detail));
                }
            }
        }
        Ok(named)
    }

    /// Absolute, under the public URL or a former one, or as a path.
    fn receipts_at(&self, target: &str) -> Option<Owner> {
        let settings = &self.settings;
        let urls = std::iter::once(&settings.public_url).chain(&settings.public_url_former);
        let secret = urls.into_iter().find_map(|url| {
            let below = target.strip_prefix(url.as_str());
            let below = below.or_else(|| target.strip_prefix(path_of(url)));
            below?.strip_prefix(PATH)
        });
        self.sealing.receipts(secret?)
    }
}

/// The path that a URL without a trailing slash ends in.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("", |at| &rest[at..])
}

fn not_a_link() -> ApiError {
    let detail = format!("a receipt subscription is named as <URL>; rel=\"{RELATION}\" (RFC 8288)");
    ApiError::malformed("Link", detail)
}

/// The targets of the links with the relation; `None` where it is no list of links.
fn targets(value: &str) -> Option<Vec<&str>> {
    let mut targets = Vec::new();
    let mut rest = value.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (target, more) = rest.strip_prefix('<')?.split_once('>')?;
        // A comma that is quoted ends no link.
        let parameters = split(more, ',').next()?;
        if relates(parameters)? {
            targets.push(target.trim());
        }
        rest = more.get(parameters.len()..)?;
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    Some(targets)
}

/// Whether the first `rel` has the relation (RFC 8288 §3.3); `None` where these are no parameters.
fn relates(parameters: &str) -> Option<bool> {
    let mut parts = split(parameters, ';');
    if !parts.next()?.trim().is_empty() {
        return None;
    }
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if name.trim().eq_ignore_ascii_case("rel") {
            let value = value.trim();
            let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            let mut relations = inner.unwrap_or(value).split_ascii_whitespace();
            return Some(relations.any(|relation| relation.eq_ignore_ascii_case(RELATION)));
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(value: &str, expected: Option<&[&str]>) {
        assert_eq!(targets(value).as_deref(), expected, "{value}");
    }

    #[test]
    fn links_of_the_relation_are_found_among_others() {
        let rel = format!("rel=\"{RELATION}\"");
        check(&format!("</r/1>; {rel}"), Some(&["/r/1"]));
        check(
            &format!("</r/1>;{rel},</r/2> ; {rel}"),
            Some(&["/r/1", "/r/2"]),
        );
        check(&format!("</r/1>; rel={RELATION}"), Some(&["/r/1"]));
        check(
            &format!("</r/1>; title=\"a, b; c\"; {rel}"),
            Some(&["/r/1"]),
        );
        check(&format!("</a,b>; {rel}"), Some(&["/a,b"]));
        let many = format!("</r/1>; REL=\"next {}\"", RELATION.to_uppercase());
        check(&many, Some(&["/r/1"]));
        check(&format!("</r/1>; rel=next; {rel}"), Some(&[]));
        check("</r/1>; rel=\"next\"", Some(&[]));
        check("</r/1>", Some(&[]));
        check("", Some(&[]));
        for broken in ["/r/1", "</r/1", "</r/1> rel=next", "<>x", "x; <a>"] {
            check(broken, None);
        }
    }

    #[test]
    fn a_url_ends_in_its_path() {
        assert_eq!(path_of("https://push.example"), "");
        assert_eq!(path_of("https://push.example/base"), "/base");
    }

    proptest! {
        #[test]
        fn anything_can_be_read(value in "[ -~]{0,60}") {
            let _ = targets(&value);
        }
    }
}
