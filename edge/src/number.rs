//! Whole numbers in JSON bodies.
//!
//! JSON has one kind of number (RFC 8259 §6), and a schema's `integer` is every one without a fraction:
//! `60.0` is 60, as some languages write it.

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// Where floating point ceases to tell whole numbers apart (RFC 8259 §6).
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A whole number from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole(pub u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(WholeVisitor)
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number from 0")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
        Ok(Whole(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Whole, E> {
        let whole = u64::try_from(number);
        whole
            .map(Whole)
            .map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
        if number.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&number) {
            // Exact: it has no fraction and is in range.
            Ok(Whole(number as u64))
        } else {
            Err(E::invalid_value(Unexpected::Float(number), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_has_no_fraction_is_whole_however_it_is_written() {
        let read = |text| {
            serde_json::from_str::<Whole>(text)
                .ok()
                .map(|whole| whole.0)
        };
        for (text, expected) in [
            ("0", Some(0)),
            ("-0.0", Some(0)),
            ("60", Some(60)),
            ("60.0", Some(60)),
            ("6e1", Some(60)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("1e300", None),
            ("60.5", None),
            ("-1", None),
            ("-1.0", None),
            ("\"60\"", None),
            ("null", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
