//! The headers of a post (RFC 8030 §5), each read once: one that stands there twice is refused, never
//! chosen from.

use crate::posting::Item;
use axum::http::{HeaderMap, StatusCode, header};
use belfry_edge::ApiError;
use belfry_protocol::push::{CollapseKey, ContentEncoding, IdempotencyKey, Ttl, Urgency};
use belfry_store::mailbox::Receipts;
use bytes::Bytes;
use std::str::FromStr;

/// What to do about the draft's encoding: the defaults of the libraries that still know it.
const AESGCM_REMEDY: &str = "aesgcm was a draft of RFC 8291; send aes128gcm: web-push for Node does by \
    itself from 3.3.4, pywebpush from 1.10 and webpush-java from 5.0; web-push-php where the \
    subscription says contentEncoding aes128gcm";

/// The headers of a post.
pub(crate) struct Headers {
    ttl: Ttl,
    urgency: Urgency,
    collapse: Option<CollapseKey>,
    idempotency: Option<IdempotencyKey>,
    encoding: ContentEncoding,
}

impl Headers {
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, ApiError> {
        Ok(Self {
            ttl: header::<Ttl>(headers, "TTL")?.ok_or_else(|| {
                ApiError::malformed(
                    "TTL",
                    "TTL is required (RFC 8030 §5.2): seconds, such as 3600",
                )
            })?,
            urgency: header(headers, "Urgency")?
                .map_or_else(Urgency::default, |AnyCase(urgency)| urgency),
            collapse: header(headers, "Topic")?,
            idempotency: header(headers, "Idempotency-Key")?,
            encoding: encoding(headers)?,
        })
    }

    /// Whether it may repeat another.
    pub(crate) fn is_named(&self) -> bool {
        self.idempotency.is_some()
    }

    /// With the body that they stand before.
    pub(crate) fn with(self, body: Bytes, receipts: Option<Receipts>) -> Item {
        Item {
            ttl: self.ttl,
            urgency: self.urgency,
            collapse: self.collapse,
            idempotency: self.idempotency,
            encoding: self.encoding,
            body,
            receipts,
        }
    }
}

/// A word of a grammar, whose letters have no case (RFC 5234 §2.3).
struct AnyCase<T>(T);

impl<T: FromStr> FromStr for AnyCase<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        text.to_ascii_lowercase().parse().map(Self)
    }
}

/// The one value of a header, parsed.
fn header<T: FromStr<Err = belfry_protocol::push::InvalidHeader>>(
    headers: &HeaderMap,
    name: &'static str,
) -> Result<Option<T>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(ApiError::malformed(
            name,
            format!("{name} stands there more than once"),
        ));
    }
    let text = value
        .to_str()
        .map_err(|_| ApiError::malformed(name, format!("{name} is ASCII")))?;
    // White space around a value is HTTP's and gone by now (RFC 9110 §5.5).
    text.parse()
        .map(Some)
        .map_err(|error: T::Err| ApiError::malformed(name, error.to_string()))
}

fn encoding(headers: &HeaderMap) -> Result<ContentEncoding, ApiError> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    // One body has one encoding: a list is as wrong as none.
    let value = match (values.next(), values.next()) {
        (Some(only), None) => only.to_str().ok(),
        _ => None,
    };
    encoding_named(value).map_err(|error| error.at("Content-Encoding"))
}

/// The encoding of this name, in a header or in an item.
pub(crate) fn encoding_named(name: Option<&str>) -> Result<ContentEncoding, ApiError> {
    name.and_then(|name| name.parse().ok()).ok_or_else(|| {
        let remedy = if name.is_some_and(|name| name.eq_ignore_ascii_case("aesgcm")) {
            AESGCM_REMEDY
        } else {
            "Content-Encoding is aes128gcm (RFC 8291) or crypto-box: the body is encrypted"
        };
        ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding", remedy)
    })
}
