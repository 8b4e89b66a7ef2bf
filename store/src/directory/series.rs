//! The server's own figures over time, in buckets that are rolled up and forgotten by their age. No user
//! is in them. Of sites there are the busiest: who could name any number of origins could otherwise fill
//! the table.
//!
//! What is kept of a bucket adds up ([`Figure`]), so that it is written as it comes, into a bucket of each
//! resolution, and a restart in the middle of one goes on with it.

use super::{Directory, DirectoryError, Pool, fetch};
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Sites whose posts wait to be written, about 150 bytes each. What others post meanwhile is counted
/// with all posts alone.
const SITES_WAITING_MAX: usize = if cfg!(test) { 8 } else { 10_000 };
/// Sites that are written at a time, the busiest first; the others wait, and become busier by that.
const SITES_PER_WRITE: usize = if cfg!(test) { 4 } else { 200 };

/// How long a bucket is, and how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolution {
    /// Of a bucket.
    pub seconds: u64,
    /// How far back there are any.
    pub kept_seconds: u64,
    /// Sites that are kept of a bucket once it is over; of the shortest there are no more than are
    /// written at a time.
    sites_max: Option<u32>,
}

/// The finest first; each is a multiple of the one before.
pub const RESOLUTIONS: [Resolution; 3] = [
    Resolution {
        seconds: 10,
        kept_seconds: 2 * 3_600,
        sites_max: None,
    },
    Resolution {
        seconds: 300,
        kept_seconds: 2 * 86_400,
        sites_max: Some(1_000),
    },
    Resolution {
        seconds: 3_600,
        kept_seconds: 396 * 86_400,
        sites_max: Some(if cfg!(test) { 2 } else { 200 }),
    },
];

/// Something that was measured: two sums, whose quotient is a mean where it is to be one.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What.
    pub metric: String,
    /// Which of several, else empty.
    pub part: String,
    /// What is summed up.
    pub total: f64,
    /// How much it stands for, such as the seconds that it was so.
    pub weight: f64,
}

/// A figure of a step of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// When the step begins, in seconds since 1970.
    pub at: u64,
    /// Which of several, else empty.
    pub part: String,
    /// The sum of the step.
    pub total: f64,
    /// What it stands for.
    pub weight: f64,
}

/// How many posts a site made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Posts {
    /// Accepted ones.
    pub accepted: u64,
    /// Others.
    pub refused: u64,
}

/// The part of time that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Which buckets are read.
    pub resolution: Resolution,
    /// Seconds of a step, a multiple of the bucket's.
    pub step: u64,
    /// The first step, in seconds since 1970.
    pub from: u64,
    /// Where it ends, that not included.
    pub to: u64,
}

/// Posts of sites that wait to be written.
#[derive(Default)]
pub(super) struct SitePosts(Mutex<HashMap<Origin, Posts>>);

impl SitePosts {
    fn lock(&self) -> MutexGuard<'_, HashMap<Origin, Posts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn busiest(&self) -> Vec<(Origin, Posts)> {
        let posts = self.lock();
        let mut all: Vec<_> = posts
            .iter()
            .map(|(site, posts)| (site.clone(), *posts))
            .collect();
        drop(posts);
        all.sort_by(|(one, a), (other, b)| (b.all(), one.as_str()).cmp(&(a.all(), other.as_str())));
        all.truncate(SITES_PER_WRITE);
        all
    }

    fn written(&self, sites: &[(Origin, Posts)]) {
        let mut posts = self.lock();
        for (site, written) in sites {
            if let Some(waiting) = posts.get_mut(site) {
                waiting.accepted -= written.accepted;
                waiting.refused -= written.refused;
                if *waiting == Posts::default() {
                    posts.remove(site);
                }
            }
        }
    }
}

impl Posts {
    fn all(&self) -> u64 {
        self.accepted.saturating_add(self.refused)
    }
}

/// Does the same in one transaction of whichever database it is.
macro_rules! in_one {
    ($directory:expr, |$transaction:ident| $body:block) => {
        match &$directory.pool {
            Pool::Sqlite(pool) => {
                let mut $transaction = pool.begin().await?;
                $body
                $transaction.commit().await?;
            }
            Pool::Postgres(pool) => {
                let mut $transaction = pool.begin().await?;
                $body
                $transaction.commit().await?;
            }
        }
    };
}

const ADD_FIGURE: &str = "INSERT INTO series (resolution, metric, bucket, part, total, weight) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (resolution, metric, bucket, part) DO UPDATE SET \
     total = series.total + excluded.total, weight = series.weight + excluded.weight";

const ADD_SITE: &str = "INSERT INTO site_series (resolution, site, bucket, accepted, refused) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (resolution, site, bucket) DO UPDATE SET \
     accepted = site_series.accepted + excluded.accepted, refused = site_series.refused + excluded.refused";

const TRIM_SITES: &str = "DELETE FROM site_series WHERE resolution = $1 AND bucket = $2 AND site NOT IN \
     (SELECT site FROM site_series WHERE resolution = $1 AND bucket = $2 \
     ORDER BY accepted + refused DESC, site LIMIT $3)";

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn begin_of(seconds: u64, resolution: Resolution) -> i64 {
    signed(seconds - seconds % resolution.seconds)
}

impl Directory {
    /// Counts a post to an endpoint of this site.
    pub fn note_post(&self, site: &Origin, accepted: bool) {
        let mut waiting = self.site_posts.lock();
        if !waiting.contains_key(site) {
            if waiting.len() >= SITES_WAITING_MAX {
                return;
            }
            waiting.insert(site.clone(), Posts::default());
        }
        if let Some(posts) = waiting.get_mut(site) {
            posts.accepted += u64::from(accepted);
            posts.refused += u64::from(!accepted);
        }
    }

    /// Adds what was measured to the buckets of that time, and with it what sites posted since the last
    /// time.
    ///
    /// # Errors
    /// The directory is unavailable; nothing was added.
    pub async fn add_to_series(
        &self,
        at: Timestamp,
        figures: &[Figure],
    ) -> Result<(), DirectoryError> {
        let seconds = at.as_millis() / 1_000;
        let sites = self.site_posts.busiest();
        in_one!(self, |transaction| {
            for resolution in RESOLUTIONS {
                let (of, bucket) = (signed(resolution.seconds), begin_of(seconds, resolution));
                for figure in figures {
                    let row = sqlx::query(ADD_FIGURE).bind(of).bind(&figure.metric);
                    let row = row.bind(bucket).bind(&figure.part);
                    let row = row.bind(figure.total).bind(figure.weight);
                    row.execute(&mut *transaction).await?;
                }
                for (site, posts) in &sites {
                    let row = sqlx::query(ADD_SITE).bind(of).bind(site.as_str());
                    let row = row.bind(bucket).bind(signed(posts.accepted));
                    let row = row.bind(signed(posts.refused));
                    row.execute(&mut *transaction).await?;
                }
            }
        });
        self.site_posts.written(&sites);
        Ok(())
    }

    /// A metric's points by step and part, in no order; steps of which nothing is kept are left out.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn series(&self, metric: &str, span: Span) -> Result<Vec<Point>, DirectoryError> {
        let rows = fetch!(
            self,
            fetch_all,
            (String, i64, f64, f64),
            "SELECT part, bucket / $1 * $1, sum(total), sum(weight) FROM series \
             WHERE resolution = $2 AND metric = $3 AND bucket >= $4 AND bucket < $5 GROUP BY 1, 2",
            signed(span.step),
            signed(span.resolution.seconds),
            metric,
            signed(span.from),
            signed(span.to)
        )?;
        let points = rows.into_iter().map(|(part, at, total, weight)| Point {
            at: unsigned(at),
            part,
            total,
            weight,
        });
        Ok(points.collect())
    }

    /// How many posts a site made in each step; steps without any are left out.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn site_series(
        &self,
        site: &Origin,
        span: Span,
    ) -> Result<Vec<(u64, Posts)>, DirectoryError> {
        let rows = fetch!(
            self,
            fetch_all,
            (i64, i64, i64),
            "SELECT bucket / $1 * $1, CAST(sum(accepted) AS BIGINT), CAST(sum(refused) AS BIGINT) \
             FROM site_series WHERE resolution = $2 AND site = $3 AND bucket >= $4 AND bucket < $5 GROUP BY 1",
            signed(span.step),
            signed(span.resolution.seconds),
            site.as_str(),
            signed(span.from),
            signed(span.to)
        )?;
        let posts = rows.into_iter().map(|(at, accepted, refused)| {
            let (accepted, refused) = (unsigned(accepted), unsigned(refused));
            (unsigned(at), Posts { accepted, refused })
        });
        Ok(posts.collect())
    }

    /// How many posts each site made of late, in whole buckets of five minutes: back to two days.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn site_posts_since(
        &self,
        since: Timestamp,
    ) -> Result<HashMap<Origin, Posts>, DirectoryError> {
        let [_, resolution, _] = RESOLUTIONS;
        let rows = fetch!(
            self,
            fetch_all,
            (String, i64, i64),
            "SELECT site, CAST(sum(accepted) AS BIGINT), CAST(sum(refused) AS BIGINT) \
             FROM site_series WHERE resolution = $1 AND bucket >= $2 GROUP BY site",
            signed(resolution.seconds),
            begin_of(since.as_millis() / 1_000, resolution)
        )?;
        let mut sites = HashMap::new();
        for (site, accepted, refused) in rows {
            let site = site
                .parse()
                .map_err(|_| DirectoryError::Unreadable("a site"))?;
            let (accepted, refused) = (unsigned(accepted), unsigned(refused));
            sites.insert(site, Posts { accepted, refused });
        }
        for (site, waiting) in self.site_posts.lock().iter() {
            let posts: &mut Posts = sites.entry(site.clone()).or_default();
            posts.accepted += waiting.accepted;
            posts.refused += waiting.refused;
        }
        Ok(sites)
    }

    /// Forgets what is older than it is kept, and, of the buckets that ended since the last time, the
    /// sites beyond the busiest.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn prune_series(
        &self,
        last: Timestamp,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let (last, now) = (last.as_millis() / 1_000, now.as_millis() / 1_000);
        in_one!(self, |transaction| {
            for resolution in RESOLUTIONS {
                let of = signed(resolution.seconds);
                let oldest = signed(now.saturating_sub(resolution.kept_seconds));
                for old in [
                    "DELETE FROM series WHERE resolution = $1 AND bucket < $2",
                    "DELETE FROM site_series WHERE resolution = $1 AND bucket < $2",
                ] {
                    let old = sqlx::query(old).bind(of).bind(oldest);
                    old.execute(&mut *transaction).await?;
                }
                let Some(sites_max) = resolution.sites_max else {
                    continue;
                };
                let ended = sqlx::query_as::<_, (i64,)>(
                    "SELECT DISTINCT bucket FROM site_series \
                     WHERE resolution = $1 AND bucket >= $2 AND bucket < $3",
                );
                let ended = ended.bind(of).bind(begin_of(last, resolution));
                let ended = ended.bind(begin_of(now, resolution));
                for (bucket,) in ended.fetch_all(&mut *transaction).await? {
                    let trim = sqlx::query(TRIM_SITES).bind(of).bind(bucket);
                    let trim = trim.bind(i64::from(sites_max));
                    trim.execute(&mut *transaction).await?;
                }
            }
        });
        Ok(())
    }
}
