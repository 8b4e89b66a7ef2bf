//! One item as it is written, read without giving up on those beside it: whatever is wrong with it is
//! kept as its own answer, and only what is no JSON at all ends the reading.

use crate::headers::encoding_named;
use crate::posting::Item;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belfry_edge::{ApiError, Whole};
use belfry_protocol::push::{InvalidHeader, Ttl};
use serde::Deserialize as _;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

/// The names of the fields, each at the place that [`Fields`] keeps it.
const NAMES: [&str; 7] = [
    "endpoint",
    "ttl",
    "urgency",
    "topic",
    "encoding",
    "body",
    "idempotency_key",
];

/// An item, or what keeps it from being one.
#[derive(Debug)]
pub(crate) enum Parsed {
    Fields(Fields),
    NotAnObject,
    /// A field stands there more than once: none is chosen.
    Twice(&'static str),
    /// A line of a stream that is no JSON; why.
    NotJson(String),
    /// A line of a stream that is longer than any item.
    TooLong,
}

/// The fields that are there, of whatever type.
#[derive(Debug, Default)]
pub(crate) struct Fields([Option<Value>; NAMES.len()]);

/// An item with where it goes.
pub(super) struct Addressed {
    pub(super) endpoint: String,
    pub(super) item: Item,
}

impl Parsed {
    /// Reads a line; nothing of a blank one.
    pub(super) fn of_line(line: &[u8]) -> Option<Self> {
        if line.trim_ascii().is_empty() {
            return None;
        }
        let parsed = serde_json::from_slice(line);
        Some(parsed.unwrap_or_else(|error| Self::NotJson(error.to_string())))
    }

    /// Where it says that it goes.
    pub(super) fn endpoint(&self) -> Option<&str> {
        match self {
            Self::Fields(fields) => fields.0[0].as_ref()?.as_str(),
            _ => None,
        }
    }

    /// The item, each part of it well-formed by itself.
    pub(super) fn read(&self) -> Result<Addressed, ApiError> {
        match self {
            Self::Fields(fields) => fields.read(),
            Self::NotAnObject => Err(ApiError::malformed("item", "an item is a JSON object")),
            Self::Twice(name) => {
                let detail = format!("{name} stands there more than once");
                Err(ApiError::malformed(name, detail))
            }
            Self::NotJson(why) => {
                let detail = format!("an item is a JSON object, one on a line: {why}");
                Err(ApiError::malformed("item", detail))
            }
            Self::TooLong => {
                let detail = format!("an item is at most {} bytes", super::ITEM_BYTES_MAX);
                Err(ApiError::malformed("item", detail))
            }
        }
    }
}

impl Fields {
    fn read(&self) -> Result<Addressed, ApiError> {
        let [endpoint, ttl, urgency, topic, encoding, body, idempotency] = &self.0;
        let endpoint = text("endpoint", endpoint)?
            .ok_or_else(|| ApiError::malformed("endpoint", "endpoint is required"))?;
        let missing = "ttl is required: seconds that it may wait, such as 3600";
        let ttl = match ttl {
            None => return Err(ApiError::malformed("ttl", missing)),
            Some(seconds) => match Whole::deserialize(seconds) {
                Ok(Whole(seconds)) => seconds,
                Err(_) => {
                    let detail = "ttl is a whole number of seconds, such as 3600";
                    return Err(ApiError::malformed("ttl", detail));
                }
            },
        };
        let encoding =
            encoding_named(text("encoding", encoding)?).map_err(|error| error.at("encoding"))?;
        let body = text("body", body)?
            .ok_or_else(|| ApiError::malformed("body", "body is required, base64url"))?;
        let body = URL_SAFE_NO_PAD
            .decode(body.trim_end_matches('='))
            .map_err(|_| ApiError::malformed("body", "body is base64url (RFC 4648 §5)"))?;
        let item = Item {
            ttl: Ttl::from_secs(u32::try_from(ttl).unwrap_or(u32::MAX)),
            urgency: word("urgency", urgency)?.unwrap_or_default(),
            collapse: word("topic", topic)?,
            idempotency: word("idempotency_key", idempotency)?,
            encoding,
            body: body.into(),
            receipts: None,
        };
        Ok(Addressed {
            endpoint: endpoint.to_owned(),
            item,
        })
    }
}

fn text<'a>(name: &str, value: &'a Option<Value>) -> Result<Option<&'a str>, ApiError> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ApiError::malformed(name, format!("{name} is a string"))),
    }
}

fn word<T: FromStr<Err = InvalidHeader>>(
    name: &str,
    value: &Option<Value>,
) -> Result<Option<T>, ApiError> {
    let parsed = text(name, value)?.map(str::parse::<T>).transpose();
    parsed.map_err(|error: InvalidHeader| ApiError::malformed(name, error.to_string()))
}

/// A value of which a list or an object is read and not kept: no field is one, and what is written in
/// a byte or two would be many times as large here.
struct Shallow(Value);

impl<'de> serde::Deserialize<'de> for Shallow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadingShallow)
    }
}

struct ReadingShallow;

impl<'de> Visitor<'de> for ReadingShallow {
    type Value = Shallow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Shallow, M::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Shallow(Value::Object(serde_json::Map::new())))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Shallow, S::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Shallow(Value::Array(Vec::new())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Shallow, E> {
        Ok(Shallow(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Shallow, E> {
        Ok(Shallow(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Shallow, E> {
        Ok(Shallow(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Shallow, E> {
        Ok(Shallow(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Shallow, E> {
        Ok(Shallow(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Shallow, E> {
        Ok(Shallow(Value::Null))
    }
}

/// The items of a call, no more of them than it may have.
#[derive(Debug, Default)]
pub(super) struct Items {
    pub(super) first: VecDeque<Parsed>,
    /// Whether there were more.
    pub(super) too_many: bool,
}

impl<'de> serde::Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ReadingItems)
    }
}

struct ReadingItems;

impl<'de> Visitor<'de> for ReadingItems {
    type Value = Items;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of items")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Items, S::Error> {
        let mut items = Items::default();
        while items.first.len() < super::ITEMS_MAX {
            let Some(item) = seq.next_element()? else {
                return Ok(items);
            };
            items.first.push_back(item);
        }
        // Read to the end all the same: what is no JSON is told as that.
        while seq.next_element::<IgnoredAny>()?.is_some() {
            items.too_many = true;
        }
        Ok(items)
    }
}

impl<'de> serde::Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Parsed, M::Error> {
        let (mut fields, mut twice) = (Fields::default(), None);
        while let Some(key) = map.next_key::<String>()? {
            let Some(at) = NAMES.iter().position(|name| *name == key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value::<Option<Shallow>>()?;
            let value = value.map(|Shallow(value)| value);
            if fields.0[at].is_some() {
                twice = Some(NAMES[at]);
            }
            fields.0[at] = value;
        }
        Ok(twice.map_or(Parsed::Fields(fields), Parsed::Twice))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Parsed, S::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Parsed::NotAnObject)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Parsed, E> {
        Ok(Parsed::NotAnObject)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Parsed, E> {
        Ok(Parsed::NotAnObject)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Parsed, E> {
        Ok(Parsed::NotAnObject)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Parsed, E> {
        Ok(Parsed::NotAnObject)
    }

    fn visit_str<E>(self, _: &str) -> Result<Parsed, E> {
        Ok(Parsed::NotAnObject)
    }

    fn visit_unit<E>(self) -> Result<Parsed, E> {
        Ok(Parsed::NotAnObject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_kept_of_a_call_is_no_more_than_it_may_have() {
        let read = |count: usize| {
            let text = format!("[{}]", vec!["7"; count].join(","));
            serde_json::from_str::<Items>(&text).expect("JSON")
        };
        for (count, kept, too_many) in [(0, 0, false), (1_000, 1_000, false), (1_001, 1_000, true)]
        {
            let items = read(count);
            assert_eq!((items.first.len(), items.too_many), (kept, too_many));
        }
        let many = read(500_000);
        assert!(many.too_many && many.first.capacity() <= 2_048);
        let broken = format!("[{}", "7,".repeat(2_000));
        assert!(serde_json::from_str::<Items>(&broken).is_err());
    }

    #[test]
    fn of_a_list_or_an_object_in_a_field_nothing_is_kept() {
        for value in [json!([[1, 2], 3]), json!({"a": [1], "b": {}})] {
            let item = with("topic", value).to_string();
            let Some(Parsed::Fields(fields)) = Parsed::of_line(item.as_bytes()) else {
                panic!("an item: {item}");
            };
            let kept = fields.0[3].as_ref().expect("a value");
            assert!(*kept == json!([]) || *kept == json!({}), "{kept}");
            assert!(fields.read().is_err());
        }
    }

    fn good() -> Value {
        json!({"endpoint": "https://push.example/push/s", "ttl": 60, "encoding": "crypto-box", "body": "AAAA"})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut item = good();
        item[name] = value;
        item
    }

    fn without(name: &str) -> Value {
        let mut item = good();
        item.as_object_mut().expect("an object").remove(name);
        item
    }

    fn check(line: impl fmt::Display, expected: Result<(), (u16, &str)>) {
        let line = line.to_string();
        let parsed = Parsed::of_line(line.as_bytes()).expect("not blank");
        let read = parsed.read().map(|_| ()).map_err(|error| {
            let (problem, _) = error.into_problem();
            (
                problem.problem.status,
                problem.problem.field.unwrap_or_default(),
            )
        });
        let expected = expected.map_err(|(status, field)| (status, field.to_owned()));
        assert_eq!(read, expected, "{line}");
    }

    #[test]
    fn each_field_is_read_and_what_is_wrong_is_named() {
        check(good(), Ok(()));
        for required in ["endpoint", "ttl", "body"] {
            check(without(required), Err((400, required)));
            check(with(required, Value::Null), Err((400, required)));
        }
        check(without("encoding"), Err((415, "encoding")));
        check(with("encoding", "aesgcm".into()), Err((415, "encoding")));
        for number in [
            json!(0),
            json!(60.0),
            json!(4_294_967_295_u64),
            json!(1_u64 << 60),
        ] {
            check(with("ttl", number), Ok(()));
        }
        for number in [
            json!(-1),
            json!(1.5),
            json!("60"),
            json!([60]),
            json!(1e300),
        ] {
            check(with("ttl", number), Err((400, "ttl")));
        }
        check(with("urgency", "very-low".into()), Ok(()));
        check(with("urgency", Value::Null), Ok(()));
        check(with("urgency", "urgent".into()), Err((400, "urgency")));
        check(with("topic", "t".into()), Ok(()));
        check(with("topic", "a b".into()), Err((400, "topic")));
        check(with("idempotency_key", "a.b".into()), Ok(()));
        check(
            with("idempotency_key", "".into()),
            Err((400, "idempotency_key")),
        );
        check(with("body", "AAA=".into()), Ok(()));
        check(with("body", "AA+A".into()), Err((400, "body")));
        for name in [
            "endpoint",
            "urgency",
            "topic",
            "encoding",
            "body",
            "idempotency_key",
        ] {
            check(with(name, json!(7)), Err((400, name)));
        }
        check(
            with("of_a_later_version", json!({"a": [1, {"b": 2}]})),
            Ok(()),
        );
    }

    #[test]
    fn what_is_no_object_with_each_field_once_is_refused() {
        for other in [
            "[]", "[[1],{}]", "7", "-7", "1.5", "\"text\"", "true", "null",
        ] {
            check(other, Err((400, "item")));
        }
        for broken in [
            "{",
            "{]",
            "x",
            "{\"ttl\":}",
            "{} {}",
            "{\"ttl\":1,}",
            "\u{7f}",
        ] {
            check(broken, Err((400, "item")));
        }
        let twice = good().to_string().replace('{', "{\"ttl\":60,");
        check(&twice, Err((400, "ttl")));
        // An escape does not hide it.
        let twice = good().to_string().replace('{', "{\"\\u0074tl\":60,");
        check(&twice, Err((400, "ttl")));
    }

    #[test]
    fn a_blank_line_is_no_item() {
        for blank in ["", " ", "\r", "\t\r"] {
            assert!(Parsed::of_line(blank.as_bytes()).is_none(), "{blank:?}");
        }
        let carriage = format!("{}\r", good());
        check(carriage, Ok(()));
    }
}
