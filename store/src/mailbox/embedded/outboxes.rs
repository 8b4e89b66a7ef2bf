//! The logs of the outbox that a batch changes. Rows are numbered as they come, so that their order is
//! that of the commands; nothing counts before the batch is written.

use super::disk::{Disk, ReadError};
use crate::mailbox::command::Commit;
use crate::mailbox::outbox::{News, OUTBOX_ROWS_MAX, Owner, Told};
use crate::mailbox::rows::{self, LogRow};
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use fjall::OwnedWriteBatch;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// A log with what this batch changes of it.
struct Log {
    kept: Option<LogRow>,
    now: Option<LogRow>,
    rows: Vec<Told>,
    /// Whether somebody who waits is to look.
    told: bool,
}

#[derive(Default)]
pub(super) struct Outboxes {
    /// The sites whose logs are open, so that not every accept has to ask the disk.
    sites: HashSet<Owner>,
    changed: BTreeMap<Owner, Log>,
}

impl Outboxes {
    /// Finds the sites whose logs are open, and forgets what was not written.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub(super) fn take_up(disk: &Disk) -> Result<Self, ReadError> {
        let mut outboxes = Self::default();
        let sites = Owner::FIRST_SITE.as_bytes().to_vec()..;
        for row in disk.outbox_logs.range(sites) {
            let (key, value) = row.into_inner()?;
            let log: LogRow = rows::decode(&value)?;
            if !log.closed {
                outboxes.sites.insert(rows::owner_of(&key)?);
            }
        }
        Ok(outboxes)
    }

    /// Whether a site's log is open.
    pub(super) fn has_site(&self, site: &Origin) -> bool {
        !self.sites.is_empty() && self.sites.contains(&Owner::site(site))
    }

    /// Whether a log is open.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub(super) fn is_open(&mut self, disk: &Disk, owner: Owner) -> Result<bool, ReadError> {
        let log = self.log(disk, owner)?;
        Ok(log.now.is_some_and(|row| !row.closed))
    }

    /// Opens a log.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub(super) fn open(&mut self, disk: &Disk, owner: Owner) -> Result<(), ReadError> {
        let log = self.log(disk, owner)?;
        let mut row = log.now.unwrap_or(LogRow {
            oldest: 1,
            next: 1,
            closed: true,
            ..LogRow::default()
        });
        if row.closed {
            row.oldest = row.next;
            (row.closed, row.end) = (false, None);
        }
        log.now = Some(row);
        if owner.is_site() {
            self.sites.insert(owner);
        }
        Ok(())
    }

    /// Closes a log. It is forgotten when its rows are, so that one that is opened meanwhile gives no
    /// place twice.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub(super) fn close(
        &mut self,
        disk: &Disk,
        owner: Owner,
        end: Timestamp,
    ) -> Result<(), ReadError> {
        let log = self.log(disk, owner)?;
        if let Some(row) = &mut log.now
            && !row.closed
        {
            (row.closed, row.end) = (true, Some(end.as_millis()));
            log.told = true;
        }
        self.sites.remove(&owner);
        Ok(())
    }

    /// One more outcome is to be told in this log, which is made where there is none.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub(super) fn await_outcome(&mut self, disk: &Disk, owner: Owner) -> Result<(), ReadError> {
        self.open(disk, owner)?;
        if let Some(row) = &mut self.log(disk, owner)?.now {
            row.awaited += 1;
            row.end = None;
        }
        Ok(())
    }

    /// Writes a row where the owner's log is open. One of a receipt subscription that awaits nothing
    /// more ends when its rows do.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub(super) fn tell(
        &mut self,
        disk: &Disk,
        owner: Owner,
        news: News,
        now: Timestamp,
        kept: Duration,
    ) -> Result<(), ReadError> {
        let log = self.log(disk, owner)?;
        let Some(row) = log.now.as_mut().filter(|row| !row.closed) else {
            return Ok(());
        };
        let n = row.next;
        row.next += 1;
        row.oldest = row.oldest.max(row.next.saturating_sub(OUTBOX_ROWS_MAX));
        row.awaited = row.awaited.saturating_sub(1);
        if row.awaited == 0 && !owner.is_site() {
            row.end = Some(now.plus(kept).as_millis());
        }
        log.rows.push(Told { n, at: now, news });
        log.told = true;
        Ok(())
    }

    fn log(&mut self, disk: &Disk, owner: Owner) -> Result<&mut Log, ReadError> {
        match self.changed.entry(owner) {
            std::collections::btree_map::Entry::Occupied(log) => Ok(log.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                let row = disk.outbox_logs.get(owner.as_bytes())?;
                let row = row.map(|row| rows::decode(&row)).transpose()?;
                Ok(place.insert(Log {
                    kept: row,
                    now: row,
                    rows: Vec::new(),
                    told: false,
                }))
            }
        }
    }

    /// What the rows that are not written yet say, for a metric's label.
    pub(super) fn news(&self) -> Vec<&'static str> {
        let rows = self.changed.values().flat_map(|log| &log.rows);
        rows.map(|told| match told.news {
            News::Delivered(_) => "delivered",
            News::GivenUp(_) => "given-up",
            News::Revoked { .. } => "revoked",
            News::Expired(_) => "expired",
        })
        .collect()
    }

    /// Adds what changed to a batch, and says who is to be told.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub(super) fn put(
        &mut self,
        batch: &mut OwnedWriteBatch,
        disk: &Disk,
        kept: Duration,
    ) -> Result<Vec<Commit>, ReadError> {
        let mut commits = Vec::new();
        for (owner, log) in std::mem::take(&mut self.changed) {
            let (Some(row), true) = (log.now, log.now != log.kept) else {
                continue;
            };
            let key = owner.as_bytes().to_vec();
            batch.insert(&disk.outbox_logs, key, rows::encode(&row));
            put_end(
                batch,
                disk,
                owner,
                log.kept.and_then(|row| row.end),
                row.end,
            );
            for told in &log.rows {
                // More in one batch than are kept at all.
                if told.n < row.oldest {
                    continue;
                }
                let (key, value) = (rows::told_key(owner, told.n), rows::encode_told(told));
                batch.insert(&disk.outbox, key, value);
                let due = rows::outbox_due(told.at.plus(kept), owner, told.n);
                batch.insert(&disk.outbox_dues, due, Vec::new());
            }
            let written = log.kept.map_or(row.next, |row| row.next);
            let oldest = log.kept.map_or(row.oldest, |row| row.oldest);
            // After a log was closed its rows go in their time.
            let over = match log.kept.is_some_and(|row| row.closed) {
                true => 0..0,
                false => oldest..row.oldest.min(written),
            };
            for n in over {
                let key = rows::told_key(owner, n);
                if let Some(value) = disk.outbox.get(&key)? {
                    let told = rows::decode_told(n, &value)?;
                    let due = rows::outbox_due(told.at.plus(kept), owner, n);
                    batch.remove(&disk.outbox_dues, due);
                    batch.remove(&disk.outbox, key);
                }
            }
            if log.told {
                commits.push(Commit::Told { owner });
            }
        }
        Ok(commits)
    }

    /// Forgets what is over, as [`super::due::outbox_over`] gives it.
    pub(super) fn forget(batch: &mut OwnedWriteBatch, disk: &Disk, over: Vec<Over>) {
        for Over { due, gone } in over {
            match gone {
                Gone::Row(key) => batch.remove(&disk.outbox, key),
                Gone::Log(key) => batch.remove(&disk.outbox_logs, key),
            }
            batch.remove(&disk.outbox_dues, due);
        }
    }
}

/// Something of the outbox whose time is over.
pub(super) struct Over {
    pub(super) due: Vec<u8>,
    pub(super) gone: Gone,
}

/// What it is.
pub(super) enum Gone {
    Row(Vec<u8>),
    Log(Vec<u8>),
}

fn put_end(
    batch: &mut OwnedWriteBatch,
    disk: &Disk,
    owner: Owner,
    was: Option<u64>,
    is: Option<u64>,
) {
    if was == is {
        return;
    }
    let due = |end| rows::outbox_due(Timestamp::from_millis(end), owner, 0);
    if let Some(was) = was {
        batch.remove(&disk.outbox_dues, due(was));
    }
    if let Some(is) = is {
        batch.insert(&disk.outbox_dues, due(is), Vec::new());
    }
}
