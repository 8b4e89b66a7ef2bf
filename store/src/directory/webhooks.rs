//! How far each site has been told what concerns it. The events themselves are in the mailbox's outbox;
//! here is whose is open, where they are sent, and how that goes.

use super::{Directory, DirectoryError, execute, fetch, millis, time};
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;

/// A site whose events are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteOutbox {
    /// The site.
    pub site: Origin,
    /// Where they are sent, if anywhere.
    pub webhook: Option<String>,
    /// Of the secret that they are signed with.
    pub generation: u64,
    /// When that came into force.
    pub since: Timestamp,
    /// The newest that the receiver has taken.
    pub told: u64,
    /// How sending the next one goes.
    pub trouble: Option<Trouble>,
}

/// An event that the receiver does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Tries so far.
    pub failures: u32,
    /// When the first was.
    pub since: Timestamp,
    /// What was wrong at the last.
    pub failure: String,
    /// When the next is; `None` once it was given up.
    pub next_try: Option<Timestamp>,
}

type Row = (
    String,
    Option<String>,
    i64,
    i64,
    i64,
    i64,
    Option<i64>,
    Option<String>,
    Option<i64>,
);

fn outbox(row: Row) -> Result<SiteOutbox, DirectoryError> {
    let (site, webhook, generation, since, told, failures, failing_since, failure, next_try) = row;
    let trouble = failing_since.map(|since| Trouble {
        failures: u32::try_from(failures).unwrap_or(u32::MAX),
        since: time(since),
        failure: failure.unwrap_or_default(),
        next_try: next_try.map(time),
    });
    Ok(SiteOutbox {
        site: site
            .parse()
            .map_err(|_| DirectoryError::Unreadable("a site"))?,
        webhook,
        generation: u64::try_from(generation).unwrap_or(0),
        since: time(since),
        told: u64::try_from(told).unwrap_or(0),
        trouble,
    })
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Directory {
    /// Notes that a site's log is open. Its secrets are counted from the time on, so that a site that is
    /// added anew, by somebody else it may be, has none that it had before.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn open_site_outbox(
        &self,
        site: &Origin,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        execute!(
            self,
            "INSERT INTO site_outboxes (site, generation, since, told, failures, given_up) \
             VALUES ($1, $2, $2, 0, 0, 0) ON CONFLICT (site) DO NOTHING",
            site.as_str(),
            millis(now)
        )?;
        Ok(())
    }

    /// A site's, if it is open.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn site_outbox(&self, site: &Origin) -> Result<Option<SiteOutbox>, DirectoryError> {
        let row = fetch!(
            self,
            fetch_optional,
            Row,
            "SELECT site, webhook, generation, since, told, failures, failing_since, failure, next_try \
             FROM site_outboxes WHERE site = $1",
            site.as_str()
        )?;
        row.map(outbox).transpose()
    }

    /// Sends a site's events there from now on, signed with the next secret. One that had no webhook
    /// begins after the event `newest`; one that had goes on where it was.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn set_webhook(
        &self,
        site: &Origin,
        url: &str,
        newest: u64,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        execute!(
            self,
            "UPDATE site_outboxes SET told = CASE WHEN webhook IS NULL THEN $1 ELSE told END, webhook = $2, \
             generation = generation + 1, since = $3, failures = 0, failing_since = NULL, failure = NULL, \
             next_try = NULL, given_up = 0 WHERE site = $4",
            number(newest),
            url,
            millis(now),
            site.as_str()
        )?;
        Ok(())
    }

    /// Sends a site's events nowhere any more; whether they were.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn remove_webhook(&self, site: &Origin) -> Result<bool, DirectoryError> {
        let removed = execute!(
            self,
            "UPDATE site_outboxes SET webhook = NULL, generation = generation + 1, failures = 0, \
             failing_since = NULL, failure = NULL, next_try = NULL, given_up = 0 \
             WHERE site = $1 AND webhook IS NOT NULL",
            site.as_str()
        )?;
        Ok(removed > 0)
    }

    /// A page of the webhooks that are not given up, of proven sites, by origin, after the cursor.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn webhooks(
        &self,
        after: Option<&Origin>,
        limit: u32,
    ) -> Result<Vec<SiteOutbox>, DirectoryError> {
        let rows = fetch!(
            self,
            fetch_all,
            Row,
            "SELECT o.site, webhook, generation, since, told, failures, failing_since, failure, next_try \
             FROM site_outboxes o JOIN sites s ON s.site = o.site \
             WHERE o.site > $1 AND webhook IS NOT NULL AND given_up = 0 AND s.proven IS NOT NULL \
             ORDER BY o.site LIMIT $2",
            after.map_or("", Origin::as_str),
            i64::from(limit)
        )?;
        rows.into_iter().map(outbox).collect()
    }

    /// Notes that the receiver has taken all up to this event, where this is still its webhook.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn webhook_took(
        &self,
        site: &Origin,
        generation: u64,
        told: u64,
    ) -> Result<(), DirectoryError> {
        execute!(
            self,
            "UPDATE site_outboxes SET told = $1, failures = 0, failing_since = NULL, failure = NULL, \
             next_try = NULL WHERE site = $2 AND generation = $3",
            number(told),
            site.as_str(),
            number(generation)
        )?;
        Ok(())
    }

    /// Notes that the receiver did not take the next event, where this is still its webhook.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn webhook_failed(
        &self,
        site: &Origin,
        generation: u64,
        trouble: &Trouble,
    ) -> Result<(), DirectoryError> {
        execute!(
            self,
            "UPDATE site_outboxes SET failures = $1, failing_since = $2, failure = $3, next_try = $4, \
             given_up = $5 WHERE site = $6 AND generation = $7",
            i64::from(trouble.failures),
            millis(trouble.since),
            &trouble.failure,
            trouble.next_try.map(millis),
            i64::from(trouble.next_try.is_none()),
            site.as_str(),
            number(generation)
        )?;
        Ok(())
    }

    /// Sites that are removed and whose log is still open, some at a time.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn outboxes_of_removed_sites(
        &self,
        limit: u32,
    ) -> Result<Vec<Origin>, DirectoryError> {
        let rows = fetch!(
            self,
            fetch_all,
            (String,),
            "SELECT site FROM site_outboxes WHERE site NOT IN (SELECT site FROM sites) ORDER BY site LIMIT $1",
            i64::from(limit)
        )?;
        let sites = rows.into_iter().map(|(site,)| {
            site.parse()
                .map_err(|_| DirectoryError::Unreadable("a site"))
        });
        sites.collect()
    }

    /// Forgets a log that was closed.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn forget_site_outbox(&self, site: &Origin) -> Result<(), DirectoryError> {
        execute!(
            self,
            "DELETE FROM site_outboxes WHERE site = $1",
            site.as_str()
        )?;
        Ok(())
    }
}
