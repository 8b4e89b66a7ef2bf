//! Messages of the private space.

use super::{Context, UserState};
use crate::mailbox::command::{Outcome, PrivatePublish, Refusal};
use crate::mailbox::entry::{Content, Entry, EntryMeta, Seq};
use belfry_protocol::id::UserId;
use belfry_protocol::time::Timestamp;
use belfry_protocol::topic::Topic;
use bytes::Bytes;

impl UserState {
    pub(super) fn publish_private(
        &mut self,
        user: UserId,
        publish: &PrivatePublish,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        if let Some(id) = publish.qos2 {
            let session = self.sessions.get(&publish.device);
            if session.is_some_and(|row| row.inbound_qos2.contains(&id)) {
                return Ok(Outcome::Published(None));
            }
        }
        let bytes = publish.payload.len() + publish.properties.len();
        let wanted = publish.at_least_once && self.anyone_wants(publish, context.now);
        let kept = publish.retain && !publish.payload.is_empty();
        let over = match kept {
            true => self.retained_over(publish, bytes, context)?,
            false => Vec::new(),
        };
        if wanted && !self.make_private_room(bytes, context, publish.when_full) {
            return Err(Refusal::PrivateSpaceFull);
        }
        for topic in over {
            self.retained.remove(&topic);
            self.changes.retained.insert(topic, None);
        }
        if let (Some(id), Some(session)) = (publish.qos2, self.sessions.get_mut(&publish.device)) {
            session.inbound_qos2.push(id);
            self.changes.sessions.insert(publish.device);
        }
        if publish.retain {
            if kept {
                self.retained
                    .insert(publish.topic.clone(), (bytes, publish.expires));
                self.due_at(publish.expires);
            } else {
                self.retained.remove(&publish.topic);
            }
            self.changes
                .retained
                .insert(publish.topic.clone(), kept.then(|| publish.clone()));
        }
        if !wanted {
            return Ok(Outcome::Published(None));
        }
        let seq = self.next_seq();
        let content = Content::Private {
            topic: publish.topic.clone(),
            properties: publish.properties.clone(),
            retain: publish.retain,
            publisher: publish.device,
        };
        let meta = EntryMeta {
            seq,
            content,
            sent: context.now,
            expires: publish.expires,
            seen: false,
        };
        let entry = Entry {
            meta,
            payload: publish.payload.clone(),
        };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.insert(user, entry, bytes, None, context);
        if !self.may_echo(publish) && self.sessions.contains_key(&publish.device) {
            self.settle(user, publish.device, &[seq], context.now)?;
        }
        Ok(Outcome::Published(Some(seq)))
    }

    fn anyone_wants(&self, publish: &PrivatePublish, now: Timestamp) -> bool {
        let content = Content::Private {
            topic: publish.topic.clone(),
            properties: Bytes::new(),
            retain: false,
            publisher: publish.device,
        };
        let seq = Seq(self.head.0 + 1);
        let entry = EntryMeta {
            seq,
            content,
            sent: now,
            expires: publish.expires,
            seen: false,
        };
        self.sessions.iter().any(|(device, row)| {
            row.filters.iter().any(|subscribed| {
                subscribed.options.at_least_once
                    && subscribed.filter.matches(&entry.topic())
                    && !(subscribed.options.no_local && *device == publish.device)
            })
        })
    }

    /// Whether the publisher wants its own message: not where No Local is on each filter that
    /// matches (MQTT 5.0 §3.8.3.1).
    fn may_echo(&self, publish: &PrivatePublish) -> bool {
        let topic = Topic::Private(publish.topic.clone());
        self.sessions.get(&publish.device).is_some_and(|row| {
            row.filters.iter().any(|subscribed| {
                subscribed.options.at_least_once
                    && !subscribed.options.no_local
                    && subscribed.filter.matches(&topic)
            })
        })
    }
}
