//! The files of the embedded engine: keyspaces, reads by snapshot, and the check at the start.

use super::traces::Traces;
use super::{OpenError, torn};
use crate::mailbox::entry::{Content, Entry, EntryMeta, Seq};
use crate::mailbox::outbox::Owner;
use crate::mailbox::rows::{
    self, BodyRow, FORMAT, HeadRow, IdempotencyRow, LogRow, RetainedRow, TraceRow, Unreadable,
};
use crate::mailbox::session::View;
use crate::mailbox::user::{Depth, Meta, UserState};
use crate::mailbox::{
    Ended, HistoryRange, Holding, OutboxPage, PAGE_BYTES_MAX, Page, Retained, Trace,
};
use belfry_protocol::id::{NotificationId, PermissionId, UserId};
use belfry_protocol::push::Urgency;
use belfry_protocol::time::Timestamp;
use belfry_protocol::topic::PrivateTopic;
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable as _, Snapshot};
use serde::Deserialize;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

/// Blocks of the disk kept in memory.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Journals are rewritten into tables beyond this much.
const JOURNAL_BYTES_MAX: u64 = 256 * 1024 * 1024;

const FORMAT_KEY: &[u8] = b"format";
/// Row of the `about` keyspace that counts batches; the file of the same name does so beside it.
pub(super) const BATCHES_KEY: &[u8] = b"batches";
/// Row of the `about` keyspace with what is owed in all mailboxes.
pub(super) const DEPTH_KEY: &[u8] = b"depth";

/// A read that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Engine(#[from] fjall::Error),
    #[error(transparent)]
    Row(#[from] Unreadable),
    #[error("the mailbox is being reopened")]
    Closed,
}

/// An open database with its keyspaces.
#[derive(Clone)]
pub(super) struct Disk {
    pub(super) database: Database,
    pub(super) about: Keyspace,
    pub(super) heads: Keyspace,
    pub(super) metas: Keyspace,
    pub(super) bodies: Keyspace,
    pub(super) sessions: Keyspace,
    /// By session. Those of connected sessions too, so it also says whose connections a start finds lost.
    pub(super) wills: Keyspace,
    pub(super) permissions: Keyspace,
    pub(super) retained: Keyspace,
    pub(super) idempotency: Keyspace,
    /// Users by when something of theirs is due to go.
    pub(super) dues: Keyspace,
    /// The keys of [`Self::idempotency`] by when they are over.
    pub(super) idempotency_ends: Keyspace,
    /// What became of notifications, by `user ‖ seq`, and when each of those goes whose entry is gone.
    pub(super) traces: Keyspace,
    pub(super) trace_ends: Keyspace,
    pub(super) blocked_sites: Keyspace,
    /// Notifications whose outcome is to be told.
    pub(super) awaited: Keyspace,
    /// What was told, by owner.
    pub(super) outbox: Keyspace,
    /// Whose logs there are.
    pub(super) outbox_logs: Keyspace,
    /// Rows and logs of the outbox by when they are over.
    pub(super) outbox_dues: Keyspace,
    /// Users who are gone for ever.
    pub(super) erased: Keyspace,
}

impl Disk {
    fn open(folder: &Path) -> Result<Self, OpenError> {
        let open = || {
            Database::builder(folder)
                .cache_size(CACHE_BYTES)
                .max_journaling_size(JOURNAL_BYTES_MAX)
                .manual_journal_persist(true)
                .open()
        };
        let database = match open() {
            Err(fjall::Error::JournalRecovery(_)) if torn::cut(folder)? => {
                tracing::warn!(
                    "a batch that was written in part, and never answered, was taken off the mailbox"
                );
                open()?
            }
            opened => opened?,
        };
        let keyspace = |name| database.keyspace(name, KeyspaceCreateOptions::default);
        let disk = Self {
            about: keyspace("about")?,
            heads: keyspace("heads")?,
            metas: keyspace("metas")?,
            bodies: keyspace("bodies")?,
            sessions: keyspace("sessions")?,
            wills: keyspace("wills")?,
            permissions: keyspace("permissions")?,
            retained: keyspace("retained")?,
            idempotency: keyspace("idempotency")?,
            dues: keyspace("dues")?,
            idempotency_ends: keyspace("idempotency_ends")?,
            blocked_sites: keyspace("blocked_sites")?,
            awaited: keyspace("awaited")?,
            outbox: keyspace("outbox")?,
            outbox_logs: keyspace("outbox_logs")?,
            outbox_dues: keyspace("outbox_dues")?,
            erased: keyspace("erased")?,
            traces: keyspace("traces")?,
            trace_ends: keyspace("trace_ends")?,
            database: database.clone(),
        };
        match disk.about.get(FORMAT_KEY)? {
            None => {
                disk.about.insert(FORMAT_KEY, rows::encode(&FORMAT))?;
                // Only one batch at a time may be on its way to the disk: see `torn`.
                disk.database.persist(PersistMode::SyncAll)?;
            }
            Some(found) => {
                let found = rows::decode(&found)?;
                if found != FORMAT {
                    return Err(OpenError::Format { found });
                }
            }
        }
        Ok(disk)
    }

    /// Batches committed so far.
    pub(super) fn batches(&self) -> Result<u64, ReadError> {
        Ok(match self.about.get(BATCHES_KEY)? {
            Some(row) => rows::decode(&row)?,
            None => 0,
        })
    }

    /// How much is owed in all mailboxes.
    pub(super) fn depth(&self) -> Result<Depth, ReadError> {
        Ok(match self.about.get(DEPTH_KEY)? {
            Some(row) => rows::decode(&row)?,
            None => Depth::default(),
        })
    }

    /// The users who have a will.
    pub(super) fn with_wills(&self) -> Result<Vec<UserId>, ReadError> {
        let mut users = Vec::new();
        for row in self.wills.iter() {
            users.push(rows::user_of(&row.key()?)?);
        }
        users.dedup();
        Ok(users)
    }

    /// Users after this one, in their order.
    pub(super) fn users_after(&self, after: &[u8], limit: usize) -> Result<Vec<UserId>, ReadError> {
        let rows = self
            .heads
            .range((Bound::Excluded(after.to_vec()), Bound::Unbounded));
        rows.take(limit)
            .map(|row| Ok(rows::user_of(&row.key()?)?))
            .collect()
    }

    /// Everything of a user but the bodies.
    pub(super) fn load(&self, user: UserId, history: Duration) -> Result<UserState, ReadError> {
        let snapshot = self.database.snapshot();
        if snapshot.contains_key(&self.erased, user.as_bytes())? {
            return Ok(UserState {
                erased: true,
                ..UserState::default()
            });
        }
        let head = head_row(&snapshot, self, user)?;
        let due = (head.due != u64::MAX).then(|| Timestamp::from_millis(head.due));
        let mut state = UserState {
            head: Seq(head.head),
            blocked: head.blocked,
            due,
            due_kept: due,
            history,
            ..UserState::default()
        };
        for row in snapshot.prefix(&self.metas, user.as_bytes()) {
            let (key, value) = row.into_inner()?;
            let seq = rows::seq_of(&key)?;
            state.metas.insert(seq, rows::decode_meta(seq, &value)?);
        }
        for row in snapshot.prefix(&self.sessions, user.as_bytes()) {
            let (key, value) = row.into_inner()?;
            state
                .sessions
                .insert(rows::device_of(&key)?, rows::decode_session(&value)?);
        }
        for row in snapshot.prefix(&self.wills, user.as_bytes()) {
            let (key, value) = row.into_inner()?;
            state
                .wills
                .insert(rows::device_of(&key)?, rows::decode_will(&value)?);
        }
        for row in snapshot.prefix(&self.permissions, user.as_bytes()) {
            let (key, value) = row.into_inner()?;
            state
                .permissions
                .insert(rows::permission_of(&key)?, rows::decode_permission(&value)?);
        }
        for row in snapshot.prefix(&self.awaited, user.as_bytes()) {
            let (key, value) = row.into_inner()?;
            state
                .awaited
                .insert(rows::seq_of(&key)?, rows::decode_awaited(&value)?);
        }
        for row in snapshot.prefix(&self.retained, user.as_bytes()) {
            let (key, value) = row.into_inner()?;
            let retained: RetainedRow = rows::decode(&value)?;
            let bytes = retained.payload.len() + retained.properties.len();
            let expires = Timestamp::from_millis(retained.expires);
            state
                .retained
                .insert(private_topic_of(&key)?, (bytes, expires));
        }
        Ok(state)
    }
}

/// The urgency as its site had it: what is muted has another by which it is sent.
fn urgency_in(payload: &[u8]) -> Option<Urgency> {
    #[derive(Deserialize)]
    struct Sent {
        urgency: Urgency,
    }
    serde_json::from_slice::<Sent>(payload)
        .ok()
        .map(|sent| sent.urgency)
}

/// What readers and the writer share: the open database, or none while it is being reopened.
pub(super) struct Shared {
    folder: PathBuf,
    disk: RwLock<Option<Disk>>,
    /// Where the number of synced batches is noted, beside the database.
    note: Mutex<File>,
    /// What became of notifications, as far as it is not on the disk yet.
    pub(super) traces: Traces,
}

impl Shared {
    pub(super) fn open(folder: &Path) -> Result<Self, OpenError> {
        std::fs::create_dir_all(folder)?;
        let disk = Disk::open(&folder.join("log"))?;
        let note = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join("batches"))?;
        let shared = Self {
            folder: folder.to_owned(),
            disk: RwLock::new(None),
            note: Mutex::new(note),
            traces: Traces::default(),
        };
        let found = disk.batches().map_err(|_| OpenError::Unreadable)?;
        let missing = shared.missing_batches(found);
        if missing > 0 {
            tracing::error!(
                missing,
                found,
                "the mailbox lost its newest batches: its files were damaged or replaced by older ones"
            );
        }
        *shared.disk.write().unwrap_or_else(PoisonError::into_inner) = Some(disk);
        Ok(shared)
    }

    /// The open database.
    pub(super) fn disk(&self) -> Result<Disk, ReadError> {
        let disk = self.disk.read().unwrap_or_else(PoisonError::into_inner);
        disk.clone().ok_or(ReadError::Closed)
    }

    /// Opens the database anew after a write failed: fjall takes no more on the old handle.
    pub(super) fn reopen(&self) -> Result<Disk, OpenError> {
        let mut disk = self.disk.write().unwrap_or_else(PoisonError::into_inner);
        *disk = None;
        let reopened = Disk::open(&self.folder.join("log"))?;
        *disk = Some(reopened.clone());
        Ok(reopened)
    }

    /// Notes how many batches are synced, so that a start can tell when the newest are missing. Not
    /// synced itself: a note that is too old hides a loss at worst, and claims none. Written over and
    /// always as long: a file that is made anew is written out by the file system each time.
    pub(super) fn note_batches(&self, batches: u64) {
        let mut note = self.note();
        let written = note
            .seek(SeekFrom::Start(0))
            .and_then(|_| note.write_all(format!("{batches:020}").as_bytes()));
        if let Err(error) = written {
            tracing::warn!(%error, "cannot note the newest batch of the mailbox");
        }
    }

    /// Batches that were noted as synced beyond those that were found.
    pub(super) fn missing_batches(&self, found: u64) -> u64 {
        let (mut note, mut text) = (self.note(), String::new());
        let read = note
            .seek(SeekFrom::Start(0))
            .and_then(|_| note.read_to_string(&mut text));
        let noted = read.ok().and_then(|_| text.trim().parse().ok());
        noted.unwrap_or(0_u64).saturating_sub(found)
    }

    fn note(&self) -> MutexGuard<'_, File> {
        self.note.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of a notification, as far as that is known.
    pub(super) fn trace(
        &self,
        user: UserId,
        seq: Seq,
        now: Timestamp,
    ) -> Result<Option<Trace>, ReadError> {
        let disk = self.disk()?;
        let snapshot = disk.database.snapshot();
        let key = rows::seq_key(user, seq);
        let row = snapshot.get(&disk.traces, &key)?;
        let row: Option<TraceRow> = row.map(|row| rows::decode(&row)).transpose()?;
        let row = match self.traces.of((user, seq)) {
            Some(traced) => traced.row(row),
            None => row,
        };
        let at = Timestamp::from_millis;
        let delivered = row.and_then(|row| row.delivered).map(at);
        if let Some(value) = snapshot.get(&disk.metas, &key)? {
            let meta = rows::decode_meta(seq, &value)?;
            let Content::Notification { permission, .. } = meta.entry.content else {
                return Ok(None);
            };
            let body = snapshot.get(&disk.bodies, &key)?;
            let body: Option<BodyRow<'_>> = body.as_deref().map(rows::decode).transpose()?;
            let EntryMeta { sent, expires, .. } = meta.entry;
            return Ok(Some(Trace {
                permission,
                urgency: body.and_then(|body| urgency_in(body.payload)),
                bytes: meta.bytes,
                sent,
                expires,
                delivered,
                ended: (expires <= now).then_some((Ended::Expired, expires)),
            }));
        }
        let Some(row) = row.filter(|row| row.ended.is_some()) else {
            return Ok(None);
        };
        Ok(Some(Trace {
            permission: PermissionId::from_bytes(row.permission),
            urgency: None,
            bytes: row.bytes,
            sent: at(row.sent),
            expires: at(row.expires),
            delivered,
            ended: row.ended.map(|(why, when)| (why, at(when))),
        }))
    }

    /// What has been history for longer than this, and its posted bytes.
    pub(super) fn history_over(
        &self,
        history: Duration,
        now: Timestamp,
    ) -> Result<(u64, u64), ReadError> {
        let disk = self.disk()?;
        let (mut count, mut bytes) = (0, 0);
        for row in disk.metas.iter() {
            let (key, value) = row.into_inner()?;
            let meta = rows::decode_meta(rows::seq_of(&key)?, &value)?;
            if meta.is_history_over(history, now) {
                count += 1;
                bytes += u64::from(meta.bytes);
            }
        }
        Ok((count, bytes))
    }

    pub(super) fn owed(
        &self,
        user: UserId,
        view: &View,
        after: Seq,
        limit: usize,
        now: Timestamp,
    ) -> Result<Page, ReadError> {
        let disk = self.disk()?;
        let snapshot = disk.database.snapshot();
        let head = Seq(head_row(&snapshot, &disk, user)?.head);
        let mut page = Page {
            considered: head,
            head,
            entries: Vec::new(),
        };
        let mut room = PAGE_BYTES_MAX;
        for hole in view
            .holes
            .iter()
            .filter(|hole| **hole > after && **hole <= view.acked)
        {
            let key = rows::seq_key(user, *hole);
            let Some(value) = snapshot.get(&disk.metas, &key)? else {
                continue;
            };
            let meta = rows::decode_meta(*hole, &value)?;
            if take_owed(
                &snapshot, &disk, user, view, meta, now, &mut page, &mut room, limit,
            )? {
                return Ok(page);
            }
        }
        let from = Seq(after.max(view.acked).0.saturating_add(1));
        let range = rows::seq_key(user, from)..=rows::seq_key(user, Seq(u64::MAX));
        for row in snapshot.range(&disk.metas, range) {
            let (key, value) = row.into_inner()?;
            let meta = rows::decode_meta(rows::seq_of(&key)?, &value)?;
            if take_owed(
                &snapshot, &disk, user, view, meta, now, &mut page, &mut room, limit,
            )? {
                return Ok(page);
            }
        }
        Ok(page)
    }

    /// How much is owed to some device in each of these mailboxes.
    pub(super) fn holdings(
        &self,
        users: &[UserId],
        now: Timestamp,
    ) -> Result<Vec<Holding>, ReadError> {
        let disk = self.disk()?;
        let snapshot = disk.database.snapshot();
        let mut holdings = Vec::with_capacity(users.len());
        for user in users {
            let mut holding = Holding::default();
            for row in snapshot.prefix(&disk.metas, user.as_bytes()) {
                let (key, value) = row.into_inner()?;
                let meta = rows::decode_meta(rows::seq_of(&key)?, &value)?;
                if meta.done.is_none() && meta.entry.expires > now {
                    holding.entries += 1;
                    holding.bytes += u64::from(meta.bytes);
                }
            }
            holdings.push(holding);
        }
        Ok(holdings)
    }

    pub(super) fn entries(
        &self,
        user: UserId,
        seqs: &[Seq],
        now: Timestamp,
    ) -> Result<Vec<Entry>, ReadError> {
        let disk = self.disk()?;
        let snapshot = disk.database.snapshot();
        let mut entries = Vec::new();
        for seq in seqs {
            let Some(value) = snapshot.get(&disk.metas, rows::seq_key(user, *seq))? else {
                continue;
            };
            let meta = rows::decode_meta(*seq, &value)?;
            if meta.entry.expires > now {
                entries.extend(body(&snapshot, &disk, user, meta)?);
            }
        }
        Ok(entries)
    }

    pub(super) fn history(
        &self,
        user: UserId,
        range: HistoryRange,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Entry>, ReadError> {
        let disk = self.disk()?;
        let snapshot = disk.database.snapshot();
        let (from, to) = match range {
            HistoryRange::After(seq) => (Seq(seq.0.saturating_add(1)), Seq(u64::MAX)),
            HistoryRange::Before(seq) => (Seq(0), Seq(seq.0.saturating_sub(1))),
        };
        let rows = snapshot.range(
            &disk.metas,
            rows::seq_key(user, from)..=rows::seq_key(user, to),
        );
        let rows: Box<dyn Iterator<Item = fjall::Guard>> = match range {
            HistoryRange::After(_) => Box::new(rows),
            HistoryRange::Before(_) => Box::new(rows.rev()),
        };
        let mut entries = Vec::new();
        for row in rows {
            if entries.len() == limit {
                break;
            }
            let (key, value) = row.into_inner()?;
            let meta = rows::decode_meta(rows::seq_of(&key)?, &value)?;
            let shown = matches!(meta.entry.content, Content::Notification { .. });
            if shown && meta.entry.expires > now {
                entries.extend(body(&snapshot, &disk, user, meta)?);
            }
        }
        Ok(entries)
    }

    pub(super) fn notification(
        &self,
        user: UserId,
        id: NotificationId,
        now: Timestamp,
    ) -> Result<Option<Entry>, ReadError> {
        let disk = self.disk()?;
        let snapshot = disk.database.snapshot();
        for row in snapshot.prefix(&disk.metas, user.as_bytes()) {
            let (key, value) = row.into_inner()?;
            let meta = rows::decode_meta(rows::seq_of(&key)?, &value)?;
            let wanted = matches!(meta.entry.content, Content::Notification { id: theirs, .. } if theirs == id);
            if wanted && meta.entry.expires > now {
                return body(&snapshot, &disk, user, meta);
            }
        }
        Ok(None)
    }

    pub(super) fn heads(&self, users: &[UserId]) -> Result<Vec<Seq>, ReadError> {
        let disk = self.disk()?;
        let snapshot = disk.database.snapshot();
        users
            .iter()
            .map(|user| Ok(Seq(head_row(&snapshot, &disk, *user)?.head)))
            .collect()
    }

    pub(super) fn idempotency(
        &self,
        user: UserId,
        permission: PermissionId,
        key: &[u8; 32],
    ) -> Result<Option<IdempotencyRow>, ReadError> {
        let row = self
            .disk()?
            .idempotency
            .get(rows::idempotency_key(user, permission, key))?;
        Ok(row.map(|row| rows::decode(&row)).transpose()?)
    }

    pub(super) fn outbox(
        &self,
        owner: Owner,
        after: u64,
        limit: usize,
    ) -> Result<Option<OutboxPage>, ReadError> {
        let disk = self.disk()?;
        let snapshot = disk.database.snapshot();
        let Some(log) = snapshot.get(&disk.outbox_logs, owner.as_bytes())? else {
            return Ok(None);
        };
        let log: LogRow = rows::decode(&log)?;
        if log.closed {
            return Ok(None);
        }
        let mut page = OutboxPage {
            newest: log.next.saturating_sub(1),
            rows: Vec::new(),
        };
        let from = after.saturating_add(1).max(log.oldest);
        let range = rows::told_key(owner, from)..=rows::told_key(owner, u64::MAX);
        for row in snapshot.range(&disk.outbox, range).take(limit) {
            let (key, value) = row.into_inner()?;
            let (_, n) = rows::told_of(&key)?;
            page.rows.push(rows::decode_told(n, &value)?);
        }
        Ok(Some(page))
    }

    pub(super) fn retained(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<Retained>, ReadError> {
        let disk = self.disk()?;
        let mut messages = Vec::new();
        for row in disk.retained.prefix(user.as_bytes()) {
            let (key, value) = row.into_inner()?;
            let row: RetainedRow = rows::decode(&value)?;
            let expires = Timestamp::from_millis(row.expires);
            if expires > now {
                messages.push(Retained {
                    topic: private_topic_of(&key)?,
                    properties: row.properties.into(),
                    payload: row.payload.into(),
                    at_least_once: row.at_least_once,
                    expires,
                });
            }
        }
        Ok(messages)
    }
}

fn head_row(snapshot: &Snapshot, disk: &Disk, user: UserId) -> Result<HeadRow, ReadError> {
    Ok(match snapshot.get(&disk.heads, user.as_bytes())? {
        Some(row) => rows::decode(&row)?,
        None => HeadRow {
            due: u64::MAX,
            ..HeadRow::default()
        },
    })
}

fn private_topic_of(key: &[u8]) -> Result<PrivateTopic, Unreadable> {
    let name = std::str::from_utf8(key.get(16..).ok_or(Unreadable)?).map_err(|_| Unreadable)?;
    PrivateTopic::new(name).map_err(|_| Unreadable)
}

/// Adds an entry to the page if it is owed; true when the page is full.
#[expect(
    clippy::too_many_arguments,
    reason = "one loop body, shared by holes and the open range"
)]
fn take_owed(
    snapshot: &Snapshot,
    disk: &Disk,
    user: UserId,
    view: &View,
    meta: Meta,
    now: Timestamp,
    page: &mut Page,
    room: &mut usize,
    limit: usize,
) -> Result<bool, ReadError> {
    if !view.owes(&meta.entry, now) {
        return Ok(false);
    }
    let seq = meta.entry.seq;
    let Some(entry) = body(snapshot, disk, user, meta)? else {
        return Ok(false);
    };
    *room = room.saturating_sub(entry.payload.len());
    page.entries.push(entry);
    let full = page.entries.len() >= limit || *room == 0;
    if full {
        page.considered = seq;
    }
    Ok(full)
}

fn body(
    snapshot: &Snapshot,
    disk: &Disk,
    user: UserId,
    meta: Meta,
) -> Result<Option<Entry>, ReadError> {
    let mut meta = meta.entry;
    let Some(row) = snapshot.get(&disk.bodies, rows::seq_key(user, meta.seq))? else {
        return Ok(None);
    };
    let row: BodyRow<'_> = rows::decode(&row)?;
    if let Content::Private { properties, .. } = &mut meta.content {
        *properties = Bytes::copy_from_slice(row.properties);
    }
    Ok(Some(Entry {
        meta,
        payload: Bytes::copy_from_slice(row.payload),
    }))
}
