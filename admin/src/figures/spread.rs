//! How durations, or other sizes, are spread: counts in classes whose bounds grow by half an octave, so
//! that spreads add up and a percentile is known to a fifth of its value, and to less where many are.

/// Classes: from a tenth of a millisecond to most of an hour, and one for what is longer.
pub(super) const CLASSES: usize = 52;
/// The upper bound of the first.
const FIRST: f64 = 0.0001;
/// Classes to a doubling.
const PER_OCTAVE: f64 = 2.0;

/// Counts by class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread(pub(super) [f64; CLASSES]);

impl Default for Spread {
    fn default() -> Self {
        Self([0.0; CLASSES])
    }
}

/// The class of a value.
pub(super) fn class(value: f64) -> usize {
    // Not a number and what is below the first bound are in the first; a float becomes a number by
    // saturation.
    let class = (value / FIRST).log2() * PER_OCTAVE;
    (class.ceil().max(0.0) as usize).min(CLASSES - 1)
}

/// The largest value of a class; of the last one there is none, and its lower bound is given.
fn upper(class: usize) -> f64 {
    FIRST * 2f64.powf(class.min(CLASSES - 2) as f64 / PER_OCTAVE)
}

fn lower(class: usize) -> f64 {
    match class {
        0 => 0.0,
        class => upper(class - 1),
    }
}

impl Spread {
    /// The value that this part of all is not above, as if each class were filled evenly.
    pub(super) fn quantile(&self, part: f64) -> Option<f64> {
        let all: f64 = self.0.iter().sum();
        if all <= 0.0 {
            return None;
        }
        let rank = all * part;
        let mut below = 0.0;
        let mut last = 0.0;
        for (class, count) in self.0.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let (lower, upper) = (lower(class), upper(class));
            if below + count >= rank {
                return Some(lower + (upper - lower) * (rank - below) / count);
            }
            below += count;
            last = upper;
        }
        Some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_between_the_bounds_of_its_class() {
        for value in [0.0, 0.000_09, 0.0001, 0.001, 0.0425, 1.0, 60.0, 3_000.0] {
            let class = class(value);
            assert!(lower(class) <= value && value <= upper(class), "{value}");
        }
        assert_eq!(class(1e9), CLASSES - 1);
        assert_eq!(class(f64::NAN), 0);
        assert_eq!(class(-1.0), 0);
    }

    #[test]
    fn percentiles_are_as_of_the_values_themselves() {
        let mut spread = Spread::default();
        assert_eq!(spread.quantile(0.5), None);
        for milliseconds in 1..=1_000 {
            spread.0[class(f64::from(milliseconds) / 1_000.0)] += 1.0;
        }
        for (part, expected) in [(0.5, 0.5), (0.9, 0.9), (0.99, 0.99)] {
            let found = spread.quantile(part).expect("a value");
            assert!((found / expected - 1.0).abs() < 0.2, "{part}: {found}");
        }
        let mut one = Spread::default();
        one.0[class(0.02)] += 1.0;
        let found = one.quantile(0.99).expect("a value");
        assert!((0.014..0.029).contains(&found), "{found}");
        let mut long = Spread::default();
        long.0[CLASSES - 1] = 3.0;
        assert_eq!(long.quantile(0.5), Some(upper(CLASSES - 2)));
    }
}
