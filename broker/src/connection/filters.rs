//! SUBSCRIBE and UNSUBSCRIBE: which filters a device may have, and where they start.

use super::{Client, Connection, wall_clock};
use crate::delivery::Settled;
use crate::denial::{self, Denial};
use crate::mailbox::apply_one;
use crate::notice::Live;
use crate::session::Ending;
use crate::wire::{
    ProtocolVersion, QoS, ReasonCode, RetainHandling, ServerPacket, SubAck, Subscribe,
    SubscribeFilter, UnsubAck, Unsubscribe,
};
use belfry_protocol::topic::{Filter, Topic};
use belfry_store::mailbox::{
    Command, Outcome, Refusal, Retained, Seq, SubscribedFilter, SubscriptionOptions,
};
use std::num::NonZeroU32;

/// Filters of one session: every client in sight uses fewer than ten.
const FILTERS_MAX: usize = 64;
/// Filters that are looked at in one SUBSCRIBE. A packet has room for a thousand, and each may cost a
/// look into the directory; no session could have more. Those beyond are refused one by one, as those
/// beyond a session's are, so that the client learns which it has.
const FILTERS_PER_PACKET_MAX: usize = FILTERS_MAX;

impl Connection {
    pub(super) async fn subscribe(&mut self, subscribe: Subscribe) {
        let mut codes = Vec::with_capacity(subscribe.filters.len());
        // There is one Reason String for all filters: the first refusal's.
        let mut detail = None;
        let mut granted = Vec::new();
        let mut wants_retained = Vec::new();
        for (index, asked) in subscribe.filters.iter().enumerate() {
            let grant = match index < FILTERS_PER_PACKET_MAX {
                true => self.grant(asked, &granted).await,
                false => Err(denial::FILTERS),
            };
            match grant {
                Ok(filter) => {
                    let options = options(asked, subscribe.identifier);
                    if self.sends_retained(asked, &filter) {
                        wants_retained.push((filter.clone(), options));
                    }
                    granted.push((filter, options));
                    codes.push(match options.at_least_once {
                        true => ReasonCode::GrantedQoS1,
                        false => ReasonCode::Success,
                    });
                }
                Err(Denial { reason, says }) => {
                    codes.push(reason);
                    detail.get_or_insert(says);
                }
            }
        }
        let asked: Vec<Filter> = granted.iter().map(|(filter, _)| filter.clone()).collect();
        let made = granted.is_empty() || self.make(granted).await.is_ok();
        if !made {
            wants_retained.clear();
        }
        let client = self.client.as_ref();
        let grants = codes.iter_mut().filter(|code| (**code as u8) < 0x80);
        for (code, filter) in grants.zip(&asked) {
            let Denial { reason, says } = match client {
                Some(client) if made && client.has(filter) => continue,
                // Revoked, and the directory did not know yet.
                _ if made => denial::PERMISSION,
                _ => denial::FILTERS_UNAVAILABLE,
            };
            *code = reason;
            detail = Some(says);
        }
        self.answer(ServerPacket::SubAck(SubAck {
            packet_id: subscribe.packet_id,
            codes,
            detail,
        }));
        if !wants_retained.is_empty() {
            self.queue_retained(&wants_retained).await;
        }
    }

    /// Takes filters away, or ends the connection where it cannot say that it did not.
    pub(super) async fn unsubscribe(&mut self, unsubscribe: Unsubscribe) -> Option<Ending> {
        let version = self.session.version();
        let client = self.client.as_mut()?;
        let mut codes = Vec::with_capacity(unsubscribe.filters.len());
        let mut detail = None;
        let mut removed = Vec::new();
        for text in &unsubscribe.filters {
            let filter = Filter::parse(client.user, text.as_str()).ok();
            let had = filter.filter(|filter| client.has(filter) && !removed.contains(filter));
            codes.push(match had {
                Some(_) => ReasonCode::Success,
                None => ReasonCode::NoSubscriptionExisted,
            });
            removed.extend(had);
        }
        let mut left = client.delivery.view().filters.clone();
        left.retain(|subscribed| !removed.contains(&subscribed.filter));
        if client.persistent() && !removed.is_empty() {
            let command = Command::Unsubscribe {
                user: client.user,
                device: client.device,
                filters: removed,
            };
            if apply_one(&*self.broker.0.mailbox, command).await.is_err() {
                // A 3.1.1 UNSUBACK has no codes, so it would tell of what was not done (§3.11 there).
                if version == Some(ProtocolVersion::V311) {
                    return Some(Ending::Refused(denial::FILTERS_UNAVAILABLE));
                }
                let Denial { reason, says } = denial::FILTERS_UNAVAILABLE;
                for code in codes
                    .iter_mut()
                    .filter(|code| **code == ReasonCode::Success)
                {
                    *code = reason;
                }
                detail = Some(says);
                left.clone_from(&client.delivery.view().filters);
            }
        }
        client.delivery.set_filters(left, Seq(0));
        self.answer(ServerPacket::UnsubAck(UnsubAck {
            packet_id: unsubscribe.packet_id,
            codes,
            detail,
        }));
        None
    }

    async fn grant(
        &mut self,
        asked: &SubscribeFilter,
        granted: &[(Filter, SubscriptionOptions)],
    ) -> Result<Filter, Denial> {
        let client = self.client.as_ref().ok_or(denial::FILTER)?;
        let v5 = self.session.version() == Some(ProtocolVersion::V5);
        let shared = asked.shared().filter(|_| v5);
        let filter = Filter::parse(client.user, shared.unwrap_or(asked.filter.as_str()));
        let filter = filter.map_err(|_| denial::FILTER)?;
        if shared.is_some() {
            return Err(denial::SHARED);
        }
        let new = |filter: &Filter| !client.has(filter);
        let more = granted.iter().filter(|(filter, _)| new(filter)).count();
        let count = client.delivery.view().filters.len() + more;
        if count >= FILTERS_MAX && new(&filter) {
            return Err(denial::FILTERS);
        }
        if let Filter::Notification(permission) = filter {
            let directory = &self.broker.0.directory;
            match directory.owns_permission(client.user, permission).await {
                Ok(true) => {}
                Ok(false) => return Err(denial::PERMISSION),
                Err(_) => return Err(denial::FILTERS_UNAVAILABLE),
            }
        }
        Ok(filter)
    }

    fn sends_retained(&self, asked: &SubscribeFilter, filter: &Filter) -> bool {
        let private = matches!(filter, Filter::Private(_) | Filter::Everything);
        private
            && match asked.retain_handling {
                RetainHandling::SendAlways => true,
                RetainHandling::SendIfNew => self
                    .client
                    .as_ref()
                    .is_some_and(|client| !client.has(filter)),
                RetainHandling::DoNotSend => false,
            }
    }

    /// Makes the filters, durably where the session is.
    async fn make(&mut self, granted: Vec<(Filter, SubscriptionOptions)>) -> Result<(), Refusal> {
        let Some(client) = &mut self.client else {
            return Err(Refusal::UnknownSession);
        };
        let mailbox = &*self.broker.0.mailbox;
        if client.persistent() {
            let command = Command::Subscribe {
                user: client.user,
                device: client.device,
                filters: granted,
            };
            let Outcome::Session { row, head, .. } = apply_one(mailbox, command).await? else {
                return Err(Refusal::Unavailable);
            };
            // What it published with No Local is settled there, and only the old filter says so here.
            client.delivery.adopt(&Settled {
                acked: row.acked,
                holes: row.holes,
            });
            client.delivery.set_filters(row.filters, head);
            return Ok(());
        }
        let heads = mailbox.heads(vec![client.user]).await?;
        let head = heads.first().copied().unwrap_or_default();
        let mut filters = client.delivery.view().filters.clone();
        for (filter, options) in granted {
            add(&mut filters, filter, options, head);
        }
        client.delivery.set_filters(filters, head);
        Ok(())
    }

    async fn queue_retained(&mut self, filters: &[(Filter, SubscriptionOptions)]) {
        let Some(client) = &mut self.client else {
            return;
        };
        let retained = self.broker.0.mailbox.retained(client.user).await;
        let now = wall_clock();
        for Retained {
            topic,
            properties,
            payload,
            at_least_once,
            expires,
        } in retained.unwrap_or_default()
        {
            let topic = Topic::Private(topic);
            let mut matching = filters
                .iter()
                .filter(|(filter, _)| filter.matches(&topic))
                .peekable();
            if expires <= now || matching.peek().is_none() {
                continue;
            }
            let granted = matching.any(|(_, options)| options.at_least_once);
            client.unlogged.push(Live {
                topic,
                properties,
                payload,
                publisher: None,
                retain: true,
                at_least_once: at_least_once && granted,
                urgency: None,
                expires: Some(expires),
            });
        }
    }
}

impl Client {
    fn has(&self, filter: &Filter) -> bool {
        let mut filters = self.delivery.view().filters.iter();
        filters.any(|subscribed| subscribed.filter == *filter)
    }
}

fn options(asked: &SubscribeFilter, identifier: Option<NonZeroU32>) -> SubscriptionOptions {
    SubscriptionOptions {
        at_least_once: asked.qos != QoS::AtMostOnce,
        no_local: asked.no_local,
        retain_as_published: asked.retain_as_published,
        identifier,
    }
}

/// Adds a filter to a session that only this process knows, as the mailbox does to a stored one.
fn add(
    filters: &mut Vec<SubscribedFilter>,
    filter: Filter,
    options: SubscriptionOptions,
    head: Seq,
) {
    let existing = filters
        .iter_mut()
        .find(|subscribed| subscribed.filter == filter);
    match existing {
        Some(subscribed) => {
            if options.at_least_once && !subscribed.options.at_least_once {
                subscribed.start = head;
            }
            subscribed.options = options;
        }
        None => filters.push(SubscribedFilter {
            filter,
            options,
            start: head,
        }),
    }
}
