//! What values look like in the API's description, where more than one room takes them.

use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// What [`crate::display_name`] takes.
pub(crate) enum Name {}

impl PartialSchema for Name {
    fn schema() -> RefOr<Schema> {
        let no_control = r"[^\x00-\x1f\x7f-\x9f]*";
        let visible = r"[^\x00-\x1f\x7f-\x9f\s]";
        text(&format!("^{no_control}{visible}{no_control}$"))
            .min_length(Some(1))
            .max_length(Some(100))
            .description(Some("1 to 100 characters, none of them control characters"))
            .into()
    }
}

impl ToSchema for Name {}

/// Bytes in base64url without padding, and no bits beside them (RFC 4648 §3.5).
pub(crate) enum Base64Url {}

impl PartialSchema for Base64Url {
    fn schema() -> RefOr<Schema> {
        text("^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?$")
            .into()
    }
}

impl ToSchema for Base64Url {}

fn text(pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern))
}

/// Wraps by recipient.
pub(crate) enum Wraps {}

impl PartialSchema for Wraps {
    fn schema() -> RefOr<Schema> {
        let recipient = text("^([a-z2-7]{25}[aeimquy4]|recovery)$").build();
        Object::builder()
            .property_names(Some(Schema::Object(recipient)))
            .additional_properties(Some(Ref::from_schema_name(Base64Url::name())))
            .into()
    }
}

impl ToSchema for Wraps {}
