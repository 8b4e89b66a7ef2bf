//! Who calls with an API key, and what that key may do. It is looked up anew each time, so that one
//! that was revoked counts no longer from the next look on.

use crate::Inner;
use crate::limits::Poster;
use crate::posting::no_endpoint;
use axum::http::{HeaderMap, StatusCode, header};
use belfry_edge::ApiError;
use belfry_protocol::secret::SecretHash;
use belfry_protocol::site::Origin;
use belfry_store::directory::{Endpoint, Site, SiteCaller};
use belfry_store::mailbox::Refusal;

/// A proven site, by an API key in force.
pub(crate) struct Caller {
    key: SecretHash,
    is: SiteCaller,
    poster: Poster,
}

impl Inner {
    /// Who sends these headers.
    pub(crate) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        self.caller_with(presented(headers)?).await
    }

    /// The same caller as of now.
    pub(crate) async fn still(&self, caller: &Caller) -> Result<Caller, ApiError> {
        self.caller_with(caller.key).await
    }

    async fn caller_with(&self, key: SecretHash) -> Result<Caller, ApiError> {
        let is = self.directory.site_caller(key).await?;
        let is = is.ok_or_else(|| unauthorized("this API key is unknown, or was revoked"))?;
        if is.site.proven.is_none() {
            return Err(not_proven(&is.site));
        }
        let bans = self.directory.bans();
        if bans.site(&is.site.site, (self.clock)()).is_some() {
            return Err(Refusal::Blocked.into());
        }
        self.directory
            .note_call(&is.site.site, is.key, (self.clock)());
        let counted = SecretHash::of(format!("site {}", is.site.site).as_bytes());
        Ok(Caller {
            key,
            is,
            poster: Poster::Proven(*counted.as_bytes()),
        })
    }

    /// The secret in an endpoint of this server.
    pub(crate) fn secret_of<'a>(&self, endpoint: &'a str) -> Result<&'a str, ApiError> {
        let settings = &self.settings;
        let mut urls = std::iter::once(&settings.public_url).chain(&settings.public_url_former);
        urls.find_map(|url| endpoint.strip_prefix(url.as_str())?.strip_prefix("/push/"))
            .ok_or_else(|| no_endpoint().at("endpoint"))
    }
}

impl Caller {
    pub(crate) fn site(&self) -> &Origin {
        &self.is.site.site
    }

    /// By the site: another key of it is no other rate.
    pub(crate) fn poster(&self) -> Poster {
        self.poster
    }

    /// Whether this endpoint is one of the site's, and asks for no VAPID key that is not.
    pub(crate) fn may_post_to(&self, endpoint: &Endpoint) -> Result<(), ApiError> {
        let forbidden = |kind, detail: String| {
            Err(ApiError::new(StatusCode::FORBIDDEN, kind, detail).at("endpoint"))
        };
        if endpoint.site != *self.site() {
            let detail = format!("this endpoint is not for {}", self.site());
            return forbidden("other-site", detail);
        }
        match &endpoint.application_server_key {
            Some(only) if !self.is.vapid.contains(only) => forbidden(
                "vapid",
                "this endpoint is for a VAPID key that is not registered with this API key; the \
                 operator does that with `belfry admin site vapid`"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }
}

fn presented(headers: &HeaderMap) -> Result<SecretHash, ApiError> {
    let missing =
        || unauthorized("send Authorization: Bearer with an API key of `belfry admin site key`");
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(missing)?;
    if values.next().is_some() {
        let detail = "Authorization stands there more than once";
        return Err(ApiError::malformed("Authorization", detail));
    }
    let (scheme, key) = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    Ok(SecretHash::of(key.trim().as_bytes()))
}

fn unauthorized(detail: &str) -> ApiError {
    ApiError::unauthorized(detail).at("Authorization")
}

fn not_proven(site: &Site) -> ApiError {
    let mut detail = format!(
        "{} is not proven yet: let {} answer with the line {}",
        site.site,
        site.proof_url(),
        site.proof_line()
    );
    if let Some(record) = site.proof_record() {
        detail += &format!(", or put that line into a TXT record of {record}");
    }
    detail += &format!(
        "; then the operator runs `belfry admin site verify {}`",
        site.site
    );
    ApiError::new(StatusCode::FORBIDDEN, "not-proven", detail)
}
