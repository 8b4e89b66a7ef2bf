//! What is kept of the figures, and for how long.

use super::super::series::{Figure, Posts, RESOLUTIONS, Span};
use super::*;
use belfry_protocol::site::Origin;

/// The begin of an hour.
const BEGIN: u64 = 1_800_000_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis((BEGIN + seconds) * 1_000)
}

fn figure(metric: &str, part: &str, total: f64, weight: f64) -> Figure {
    Figure {
        metric: metric.to_owned(),
        part: part.to_owned(),
        total,
        weight,
    }
}

/// Everything of a resolution, in steps.
fn all(resolution: usize, step: u64) -> Span {
    Span {
        resolution: RESOLUTIONS[resolution],
        step,
        from: BEGIN,
        to: BEGIN + 400 * 86_400,
    }
}

async fn points(directory: &Directory, metric: &str, span: Span) -> Vec<(u64, String, f64, f64)> {
    let points = directory.series(metric, span).await.unwrap();
    let mut points: Vec<_> = points
        .into_iter()
        .map(|point| (point.at - BEGIN, point.part, point.total, point.weight))
        .collect();
    points.sort_by(|one, other| one.partial_cmp(other).unwrap());
    points
}

fn site(name: &str) -> Origin {
    format!("https://{name}.example").parse().unwrap()
}

pub(super) async fn everything(directory: &Directory) {
    figures_add_up_in_every_resolution(directory).await;
    sites_are_counted_and_the_busiest_kept(directory).await;
    what_is_old_goes(directory).await;
}

async fn figures_add_up_in_every_resolution(directory: &Directory) {
    for (seconds, total) in [(3, 1.0), (9, 2.0), (10, 4.0), (299, 8.0), (300, 16.0)] {
        let figures = [
            figure("devices", "", total, 0.5),
            figure("refused", "blocked", total, 0.0),
            figure("refused", "vapid", 1.0, 0.0),
        ];
        directory
            .add_to_series(at(seconds), &figures)
            .await
            .unwrap();
    }
    let point = |at, total, weight| (at, String::new(), total, weight);
    let expected = [
        point(0, 3.0, 1.0),
        point(10, 4.0, 0.5),
        point(290, 8.0, 0.5),
        point(300, 16.0, 0.5),
    ];
    assert_eq!(points(directory, "devices", all(0, 10)).await, expected);
    let coarser = [point(0, 15.0, 2.0), point(300, 16.0, 0.5)];
    assert_eq!(points(directory, "devices", all(1, 300)).await, coarser);
    assert_eq!(points(directory, "devices", all(0, 300)).await, coarser);
    let hour = [point(0, 31.0, 2.5)];
    assert_eq!(points(directory, "devices", all(2, 3_600)).await, hour);
    let parts = points(directory, "refused", all(2, 3_600)).await;
    let part = |name: &str, total| (0, name.to_owned(), total, 0.0);
    assert_eq!(parts, [part("blocked", 31.0), part("vapid", 5.0)]);
    let early = Span {
        to: BEGIN + 10,
        ..all(0, 10)
    };
    assert_eq!(points(directory, "devices", early).await, expected[..1]);
}

async fn sites_are_counted_and_the_busiest_kept(directory: &Directory) {
    let posts = |accepted, refused| Posts { accepted, refused };
    // Six sites, of which four are written at a time; a ninth would have no place.
    for (number, count) in [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)] {
        for _ in 0..count {
            directory.note_post(&site(&format!("s{number}")), true);
        }
    }
    directory.note_post(&site("s6"), false);
    for number in 7..20 {
        directory.note_post(&site(&format!("s{number}")), true);
    }
    let since = || async { directory.site_posts_since(at(0)).await.unwrap() };
    let waiting = since().await;
    assert_eq!(waiting.len(), 8, "as many as may wait: {waiting:?}");
    assert_eq!(waiting[&site("s6")], posts(6, 1));

    let of = async |name: &str, span| directory.site_series(&site(name), span).await.unwrap();
    directory.add_to_series(at(600), &[]).await.unwrap();
    let first = [(BEGIN + 600, posts(6, 1))];
    assert_eq!(of("s6", all(0, 10)).await, first);
    assert_eq!(of("s2", all(0, 10)).await, [], "it waits for its turn");
    directory.add_to_series(at(610), &[]).await.unwrap();
    assert_eq!(
        of("s2", all(0, 10)).await,
        [(BEGIN + 610, posts(2, 0))],
        "and has it next"
    );
    assert_eq!(since().await, waiting, "written or waiting, it is the same");
    directory.note_post(&site("s6"), true);
    directory.add_to_series(at(620), &[]).await.unwrap();
    assert_eq!(of("s6", all(1, 300)).await, [(BEGIN + 600, posts(7, 1))]);
    directory.prune_series(at(0), at(3_599)).await.unwrap();
    assert_eq!(of("s1", all(2, 3_600)).await.len(), 1, "it is not over");
    directory.prune_series(at(3_599), at(3_600)).await.unwrap();
    let mut kept = Vec::new();
    for number in 1..=6 {
        let name = format!("s{number}");
        if !of(&name, all(2, 3_600)).await.is_empty() {
            kept.push(number);
        }
    }
    assert_eq!(kept, [5, 6], "the busiest two of the hour");
    assert_eq!(of("s1", all(1, 300)).await.len(), 1);
}

async fn what_is_old_goes(directory: &Directory) {
    let count = async |resolution: usize| {
        let span = all(resolution, RESOLUTIONS[resolution].seconds);
        let sites = directory.site_series(&site("s6"), span).await.unwrap();
        let figures = points(directory, "devices", span).await;
        (figures.len(), sites.len())
    };
    let mut last = at(3_600);
    for (later, expected) in [
        (2 * 3_600, [(4, 2), (2, 1), (1, 1)]),
        (2 * 3_600 + 291, [(1, 2), (2, 1), (1, 1)]),
        (3 * 3_600, [(0, 0), (2, 1), (1, 1)]),
        (2 * 86_400 + 1, [(0, 0), (1, 1), (1, 1)]),
        (2 * 86_400 + 601, [(0, 0), (0, 0), (1, 1)]),
        (396 * 86_400 + 1, [(0, 0), (0, 0), (0, 0)]),
    ] {
        directory.prune_series(last, at(later)).await.unwrap();
        last = at(later);
        for (resolution, expected) in expected.into_iter().enumerate() {
            assert_eq!(count(resolution).await, expected, "{later} {resolution}");
        }
    }
}
