//! Sends each site with a webhook its events, one after another in their order: the next goes out when
//! the one before was taken. How far it is stands in the directory, so an end of the process repeats at
//! most the event that was under way.

use super::client::NotTaken;
use super::event::Event;
use super::{Inner, Webhooks, schedule};
use belfry_protocol::site::Origin;
use belfry_store::directory::{DirectoryError, SiteOutbox, Trouble};
use belfry_store::mailbox::{Command, Mailbox as _, Owner, Told};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use url::Url;

/// How often the directory is asked what webhooks there are: the operator's commands ring no bell.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Rows that are read at a time.
const PAGE: u32 = 100;
/// How long a secret is signed with beside the one after it, so that a site can go from one to the
/// other without losing an event.
const FORMER_SECRET: Duration = Duration::from_secs(86_400);

impl Webhooks {
    /// Sends until `stopping`. What is under way then is broken off, and sent again after the start.
    pub async fn run(self, stopping: CancellationToken) {
        let mut couriers = Couriers::default();
        let mut bans = self.0.bridge.0.directory.watch_bans();
        loop {
            let looked = stopping
                .run_until_cancelled(self.0.look(&mut couriers))
                .await;
            if let Some(Err(error)) = &looked {
                tracing::warn!(%error, "the webhooks cannot be read");
            }
            let again = async {
                tokio::select! {
                    () = self.0.changed.notified() => {}
                    Ok(()) = bans.changed() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            };
            if stopping.run_until_cancelled(again).await.is_none() {
                break;
            }
        }
        couriers.tasks.shutdown().await;
    }
}

/// The tasks that send, one a site.
#[derive(Default)]
struct Couriers {
    tasks: JoinSet<()>,
    of: HashMap<Origin, (u64, AbortHandle)>,
}

impl Inner {
    /// Starts who is missing and ends who has nothing to do any more.
    async fn look(self: &Arc<Self>, couriers: &mut Couriers) -> Result<(), DirectoryError> {
        let mut there = HashMap::new();
        let mut after = None;
        loop {
            let page = self
                .bridge
                .0
                .directory
                .webhooks(after.as_ref(), PAGE)
                .await?;
            let Some(last) = page.last() else { break };
            after = Some(last.site.clone());
            there.extend(page.into_iter().map(|outbox| (outbox.site.clone(), outbox)));
        }
        // A site that is blocked is told nothing; its events wait.
        let inner = &self.bridge.0;
        let (bans, now) = (inner.directory.bans(), (inner.clock)());
        there.retain(|site, _| bans.site(site, now).is_none());
        while couriers.tasks.try_join_next().is_some() {}
        couriers.of.retain(|site, (generation, task)| {
            let same = there.get(site).map(|outbox| outbox.generation) == Some(*generation);
            if !same {
                task.abort();
            }
            same && !task.is_finished()
        });
        for (site, outbox) in there {
            if couriers.of.contains_key(&site) {
                continue;
            }
            let generation = outbox.generation;
            if let Some(courier) = Courier::of(Arc::clone(self), outbox) {
                let task = couriers.tasks.spawn(courier.run());
                couriers.of.insert(site, (generation, task));
            }
        }
        self.close_removed().await
    }

    async fn close_removed(&self) -> Result<(), DirectoryError> {
        let inner = &self.bridge.0;
        for site in inner.directory.outboxes_of_removed_sites(PAGE).await? {
            let owner = Owner::site(&site);
            if inner.command(Command::CloseOutbox { owner }).await.is_ok() {
                inner.directory.forget_site_outbox(&site).await?;
            }
        }
        Ok(())
    }
}

/// Who sends one site its events.
struct Courier {
    inner: Arc<Inner>,
    url: Url,
    outbox: SiteOutbox,
}

impl Courier {
    fn of(inner: Arc<Inner>, outbox: SiteOutbox) -> Option<Self> {
        let url = outbox.webhook.as_ref()?.parse().ok()?;
        Some(Self { inner, url, outbox })
    }

    async fn run(mut self) {
        let owner = Owner::site(&self.outbox.site);
        loop {
            // Before it is read, so that nothing that is written meanwhile is slept through.
            let mut bell = self.inner.bridge.0.bells.wait_for(owner);
            let mailbox = Arc::clone(&self.inner.bridge.0.mailbox);
            match mailbox.outbox(owner, self.outbox.told, PAGE as usize).await {
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
                // It was closed: there is nothing to tell.
                Ok(None) => return,
                Ok(Some(page)) if page.rows.is_empty() => bell.rung().await,
                Ok(Some(page)) => {
                    for told in &page.rows {
                        if !self.deliver(told).await {
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Sends one until it is taken; whether it was.
    async fn deliver(&mut self, told: &Told) -> bool {
        loop {
            if let Some(next) = self.outbox.trouble.as_ref().and_then(|t| t.next_try) {
                tokio::time::sleep(next.since(self.inner.now())).await;
            }
            match self.send(told).await {
                Ok(()) => {
                    self.took(told.n).await;
                    return true;
                }
                Err(not) => {
                    if !self.failed(not).await {
                        return false;
                    }
                }
            }
        }
    }

    async fn send(&self, told: &Told) -> Result<(), NotTaken> {
        let bridge = &self.inner.bridge.0;
        let event = Event::of(told, &bridge.sealing, &bridge.settings.public_url);
        let body = event.and_then(|event| serde_json::to_vec(&event).ok());
        let Some(body) = body else {
            // Nothing that this log should have.
            return Ok(());
        };
        let SiteOutbox {
            site,
            generation,
            since,
            ..
        } = &self.outbox;
        let (id, now) = (Event::id(told), self.inner.now());
        let seconds = now.as_millis() / 1_000;
        let sign = |generation| {
            let secret = self.inner.secrets.of(site, generation);
            secret.sign(&id, seconds, &body)
        };
        let mut signature = sign(*generation);
        if *generation > 1 && now.since(*since) < FORMER_SECRET {
            signature = format!("{signature} {}", sign(generation - 1));
        }
        let headers = [
            ("webhook-id", id.clone()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signature),
        ];
        let Ok(_sending) = self.inner.sending.acquire().await else {
            return Ok(());
        };
        self.inner.client.send(&self.url, headers, body).await
    }

    async fn took(&mut self, n: u64) {
        self.outbox.told = n;
        self.outbox.trouble = None;
        metrics::counter!("belfry_webhooks_total", "result" => "taken").increment(1);
        let SiteOutbox {
            site, generation, ..
        } = &self.outbox;
        let directory = &self.inner.bridge.0.directory;
        if let Err(error) = directory.webhook_took(site, *generation, n).await {
            // It would be sent once more after a restart, with the same id.
            tracing::warn!(%error, "it is not written down that a webhook took an event");
        }
    }

    /// Notes a failure; whether it is tried again.
    async fn failed(&mut self, not: NotTaken) -> bool {
        metrics::counter!("belfry_webhooks_total", "result" => "failed").increment(1);
        let now = self.inner.now();
        let before = self.outbox.trouble.take();
        let since = before.as_ref().map_or(now, |trouble| trouble.since);
        let failures = before
            .map_or(0, |trouble| trouble.failures)
            .saturating_add(1);
        let mut random = [0; 8];
        // Without chance it is only the longest wait.
        let _ = getrandom::fill(&mut random);
        let next_try = schedule::next_try(failures, since, now, u64::from_ne_bytes(random));
        let trouble = Trouble {
            failures,
            since,
            failure: not.why,
            next_try: next_try.filter(|_| !not.gone),
        };
        let SiteOutbox {
            site, generation, ..
        } = &self.outbox;
        let directory = &self.inner.bridge.0.directory;
        let noted = directory.webhook_failed(site, *generation, &trouble).await;
        if let Err(error) = noted {
            tracing::warn!(%error, "it is not written down that a webhook failed");
        }
        let goes_on = trouble.next_try.is_some();
        self.outbox.trouble = Some(trouble);
        goes_on
    }
}
