//! What of the series is asked for, which steps it is given in, and what is said of each step. Pure.

use super::live::rounded;
use super::spread::Spread;
use belfry_store::directory::series::{Point, RESOLUTIONS, Span};
use std::collections::BTreeMap;

/// Steps that one answer has at most: as many as a chart has room for.
pub(super) const STEPS_MAX: u64 = 400;
/// Reasons of refusals that are told apart; what the others come to is `refused.other`.
pub(super) const REASONS_MAX: usize = 8;
/// Seconds that a step may have, each a multiple of a resolution.
const STEPS: [u64; 13] = [
    10, 20, 30, 60, 300, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200, 86_400,
];
const OTHER: &str = "other";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// A second.
    Rate(&'static str),
    /// Refusals for one reason, a second.
    RefusedFor(String),
    /// Refusals for each reason that occurred.
    RefusedByReason,
    /// As it was on the mean.
    Mean(&'static str),
    /// The milliseconds that so many in a hundred took at most.
    Milliseconds(&'static str, u8),
}

/// What each step of a span has.
pub(super) type Values = Vec<Option<f64>>;

impl std::str::FromStr for Asked {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Ok(match name {
            "accepted" => Self::Rate("accepted"),
            "delivered" => Self::Rate("delivered"),
            "acknowledged" => Self::Rate("acknowledged"),
            "refused" => Self::Rate("refused"),
            "expired" => Self::Rate("expired"),
            "withdrawn" => Self::Rate("withdrawn"),
            "refused.*" => Self::RefusedByReason,
            "devices" => Self::Mean("devices"),
            "mailbox_depth" => Self::Mean("mailbox_depth"),
            "mailbox_bytes" => Self::Mean("mailbox_bytes"),
            "commit_batch" => Self::Mean("commit_batch"),
            "delivery_p50_ms" => Self::Milliseconds("delivery", 50),
            "delivery_p99_ms" => Self::Milliseconds("delivery", 99),
            "commit_p99_ms" => Self::Milliseconds("commit", 99),
            _ => match name.strip_prefix("refused.") {
                Some(reason) if !reason.is_empty() => Self::RefusedFor(reason.to_owned()),
                _ => return Err(()),
            },
        })
    }
}

impl Asked {
    /// What is read for it.
    pub(super) fn metric(&self) -> &'static str {
        match self {
            Self::RefusedFor(_) | Self::RefusedByReason => "refused",
            Self::Rate(metric) | Self::Mean(metric) | Self::Milliseconds(metric, _) => metric,
        }
    }

    /// What is said, by its name. `name` is what it was asked for by.
    pub(super) fn answer(
        &self,
        name: &str,
        points: &[Point],
        up: &Values,
        span: Span,
    ) -> BTreeMap<String, Values> {
        let rate = |points: &[&Point]| {
            let mut totals = vec![0.0; up.len()];
            for point in points {
                if let Some(total) = place(point.at, span).and_then(|place| totals.get_mut(place)) {
                    *total += point.total;
                }
            }
            rates(&totals, up)
        };
        let whole = || -> Vec<&Point> { points.iter().collect() };
        let one = |values| BTreeMap::from([(name.to_owned(), values)]);
        match self {
            Self::Rate(_) => one(rate(&whole())),
            Self::RefusedFor(reason) => {
                let of: Vec<_> = points
                    .iter()
                    .filter(|point| point.part == *reason)
                    .collect();
                one(rate(&of))
            }
            Self::RefusedByReason => {
                let reasons = by_reason(points);
                let named = reasons.into_iter();
                named
                    .map(|(reason, points)| (format!("refused.{reason}"), rate(&points)))
                    .collect()
            }
            Self::Mean(_) => one(means(points, span, up.len())),
            Self::Milliseconds(_, percent) => one(milliseconds(
                points,
                span,
                up.len(),
                f64::from(*percent) / 100.0,
            )),
        }
    }
}

/// The points of the reasons that occurred most, and those of all others.
fn by_reason(points: &[Point]) -> BTreeMap<&str, Vec<&Point>> {
    let mut totals: BTreeMap<&str, f64> = BTreeMap::new();
    for point in points {
        *totals.entry(&point.part).or_default() += point.total;
    }
    let mut most: Vec<_> = totals
        .into_iter()
        .filter(|(_, total)| *total > 0.0)
        .collect();
    most.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let own = most.len() <= REASONS_MAX;
    most.truncate(if own { REASONS_MAX } else { REASONS_MAX - 1 });
    let mut reasons: BTreeMap<&str, Vec<&Point>> = BTreeMap::new();
    for point in points.iter().filter(|point| point.total > 0.0) {
        let named = most.iter().any(|(reason, _)| *reason == point.part);
        let reason = if named { &*point.part } else { OTHER };
        reasons.entry(reason).or_default().push(point);
    }
    reasons
}

/// How often a second, where the server was up.
pub(super) fn rates(totals: &[f64], up: &Values) -> Values {
    let pairs = totals.iter().zip(up);
    pairs
        .map(|(total, up)| up.filter(|up| *up > 0.0).map(|up| rounded(total / up)))
        .collect()
}

fn means(points: &[Point], span: Span, steps: usize) -> Values {
    let mut sums = vec![(0.0, 0.0); steps];
    // Those with a part are how it was spread.
    for point in points.iter().filter(|point| point.part.is_empty()) {
        if let Some(sums) = place(point.at, span).and_then(|place| sums.get_mut(place)) {
            sums.0 += point.total;
            sums.1 += point.weight;
        }
    }
    let means = sums.into_iter();
    means
        .map(|(total, weight)| (weight > 0.0).then(|| rounded(total / weight)))
        .collect()
}

fn milliseconds(points: &[Point], span: Span, steps: usize, part: f64) -> Values {
    let mut spreads = vec![Spread::default(); steps];
    for point in points {
        if let Ok(class) = point.part.parse::<usize>()
            && let Some(spread) = place(point.at, span).and_then(|place| spreads.get_mut(place))
            && let Some(count) = spread.0.get_mut(class)
        {
            *count += point.total;
        }
    }
    let quantiles = spreads.iter().map(|spread| spread.quantile(part));
    quantiles
        .map(|seconds| seconds.map(|seconds| rounded(seconds * 1_000.0)))
        .collect()
}

/// Seconds that the server was up in each step; none where it was not.
pub(super) fn up(points: &[Point], span: Span) -> Values {
    let mut up = vec![None; steps(span)];
    for point in points {
        if let Some(seconds) = place(point.at, span).and_then(|place| up.get_mut(place)) {
            *seconds = Some(seconds.unwrap_or(0.0) + point.total);
        }
    }
    up
}

/// The steps of a span.
pub(super) fn steps(span: Span) -> usize {
    let steps = (span.to - span.from).div_ceil(span.step);
    usize::try_from(steps).unwrap_or(0)
}

fn place(at: u64, span: Span) -> Option<usize> {
    usize::try_from(at.checked_sub(span.from)? / span.step).ok()
}

/// How a span between two seconds is divided: by the finest step that there is for it, and that gives no
/// more steps than may be. Later than now there is nothing, and before what is kept there is nothing
/// either. `None` where it ends before it begins.
pub(super) fn divide(from: u64, to: u64, now: u64) -> Option<Span> {
    if to <= from {
        return None;
    }
    let [.., coarsest] = RESOLUTIONS;
    let oldest = now.saturating_sub(coarsest.kept_seconds);
    // The bucket of this second is under way.
    let to = to.clamp(oldest + 1, now + 1);
    let from = from.clamp(oldest, to - 1);
    let kept = RESOLUTIONS
        .into_iter()
        .find(|resolution| now.saturating_sub(from) <= resolution.kept_seconds);
    let finest = kept.unwrap_or(coarsest);
    let begin = |step: u64| from - from % step;
    let fits = |step: &u64| (to - begin(*step)).div_ceil(*step) <= STEPS_MAX;
    let mut possible = STEPS.into_iter().filter(|step| *step >= finest.seconds);
    let step = possible.find(fits)?;
    let mut coarser = RESOLUTIONS.into_iter().rev();
    let resolution = coarser.find(|resolution| step.is_multiple_of(resolution.seconds))?;
    Some(Span {
        resolution,
        step,
        from: begin(step),
        to,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_005;
    const DAY: u64 = 86_400;

    #[test]
    fn a_span_is_divided_by_the_finest_step_that_there_is_for_it() {
        let check = |ago: u64, until: u64, step: u64, resolution: u64| {
            let span = divide(NOW - ago, NOW - until, NOW).expect("a span");
            assert_eq!(
                (span.step, span.resolution.seconds),
                (step, resolution),
                "{ago} {until}"
            );
            assert!(
                steps(span) as u64 <= STEPS_MAX,
                "{ago} {until}: {}",
                steps(span)
            );
            assert_eq!(span.from % step, 0);
            assert!(span.from <= NOW - ago);
        };
        check(600, 0, 10, 10);
        check(3_600, 0, 10, 10);
        check(7_200, 0, 20, 10);
        check(7_201, 7_000, 300, 300);
        check(DAY, 0, 300, 300);
        check(2 * DAY, 0, 900, 300);
        check(3 * DAY, 0, 3_600, 3_600);
        check(30 * DAY, 0, 7_200, 3_600);
        check(396 * DAY, 0, DAY, 3_600);
        assert_eq!(divide(NOW, NOW, NOW), None);
        let future = divide(NOW - 10, NOW + 9_999, NOW).expect("a span");
        assert_eq!(steps(future), 2, "{future:?}");
        let far = divide(0, NOW, NOW).expect("a span");
        assert_eq!(far.step, DAY);
        assert_eq!(steps(divide(NOW + 50, NOW + 60, NOW).expect("a span")), 1);
        assert!(divide(0, u64::MAX, NOW).is_some());
        assert_eq!(steps(divide(0, 9, NOW).expect("a span")), 1, "long ago");
    }

    fn span() -> Span {
        divide(NOW - 35, NOW, NOW).expect("a span")
    }

    fn point(step: u64, part: &str, total: f64, weight: f64) -> Point {
        Point {
            at: span().from + step * 10,
            part: part.to_owned(),
            total,
            weight,
        }
    }

    /// Up for all of the first step, a part of the third, and not in the second and the last.
    fn was_up() -> Values {
        up(&[point(0, "", 10.0, 10.0), point(2, "", 4.0, 4.0)], span())
    }

    fn answer(name: &str, points: &[Point]) -> BTreeMap<String, Values> {
        let asked: Asked = name.parse().expect("a metric");
        asked.answer(name, points, &was_up(), span())
    }

    #[test]
    fn rates_are_of_the_time_that_the_server_was_up() {
        let points = [
            point(0, "vapid", 5.0, 0.0),
            point(0, "blocked", 10.0, 0.0),
            point(2, "blocked", 8.0, 0.0),
        ];
        let check = |name: &str, expected: [Option<f64>; 4]| {
            assert_eq!(answer(name, &points)[name], expected, "{name}");
        };
        check("refused", [Some(1.5), None, Some(2.0), None]);
        check("refused.vapid", [Some(0.5), None, Some(0.0), None]);
        check("refused.nothing", [Some(0.0), None, Some(0.0), None]);
        let by_reason = answer("refused.*", &points);
        let names: Vec<_> = by_reason.keys().collect();
        assert_eq!(names, ["refused.blocked", "refused.vapid"]);
    }

    #[test]
    fn reasons_beyond_the_eighth_are_one() {
        let points: Vec<_> = (1..=12)
            .map(|number| point(0, &format!("r{number:02}"), f64::from(number), 0.0))
            .collect();
        let by_reason = answer("refused.*", &points);
        assert_eq!(by_reason.len(), REASONS_MAX);
        // 1 to 5, in ten seconds.
        assert_eq!(by_reason["refused.other"][0], Some(1.5));
        assert_eq!(by_reason["refused.r12"][0], Some(1.2));
        assert!(!by_reason.contains_key("refused.r05"));
        assert_eq!(answer("refused.*", &points[..8]).len(), 8);
    }

    #[test]
    fn means_and_percentiles_say_nothing_without_a_measurement() {
        let devices = [point(0, "", 30.0, 10.0), point(1, "", 0.0, 2.0)];
        let expected = [Some(3.0), Some(0.0), None, None];
        assert_eq!(answer("devices", &devices)["devices"], expected);
        let class = super::super::spread::class(0.05).to_string();
        let times = [
            point(0, "", 5.0, 100.0),
            point(0, &class, 100.0, 0.0),
            point(0, "9999", 100.0, 0.0),
        ];
        let values = &answer("commit_p99_ms", &times)["commit_p99_ms"];
        assert!(
            (40.0..57.0).contains(&values[0].expect("a value")),
            "{values:?}"
        );
        assert_eq!(values[1..], [None, None, None]);
        let batch = &answer("commit_batch", &times)["commit_batch"];
        assert_eq!(batch[0], Some(0.05));
    }

    #[test]
    fn what_is_no_metric_is_not_taken() {
        for name in [
            "",
            "refused.",
            "devices.tcp",
            "up",
            "commit_p50_ms",
            "Accepted",
        ] {
            assert_eq!(name.parse::<Asked>(), Err(()), "{name}");
        }
    }
}
