//! What devices do on their connections.

use super::{Act, Connecting};
use crate::presence::Presence;
use crate::simulation::USER;
use crate::simulation::device::Request;
use crate::simulation::packets::{self, Asked, Outgoing};
use crate::simulation::time::millis;
use crate::simulation::world::{World, name};

impl World {
    pub(super) fn act_of_device(&mut self, act: Act) {
        let device = self.chance.below(self.devices.len() as u64) as usize;
        let now = millis();
        let id = self.devices[device].id;
        match act {
            Act::Connect if self.devices[device].connections.is_empty() => {
                // It is known again, as a device that was made anew.
                if self.chance.percent(60) {
                    self.directory.devices.lock().unwrap().insert(id);
                }
                let connecting = Connecting::any(&mut self.chance);
                self.connect(device, &connecting);
                return;
            }
            Act::TakeOver if self.devices[device].connections.len() == 1 => {
                let connecting = Connecting::any(&mut self.chance);
                self.connect(device, &connecting);
                return;
            }
            _ => {}
        }
        let Some(connection) = self.devices[device].current() else {
            return;
        };
        match act {
            Act::Disconnect => {
                let expiry = self.chance.pick(&[None, None, Some(0), Some(60)]);
                // A session that was to end with its connection cannot be kept after all.
                let expiry = expiry.filter(|_| connection.watch.stored);
                connection.say_goodbye(expiry);
                self.whereabouts.unsure(id, now);
                self.note(|| format!("{} says goodbye, {expiry:?}", name(id)));
            }
            Act::BreakOff => {
                connection.end.break_off();
                self.whereabouts.unsure(id, now);
                self.note(|| format!("{} breaks off", name(id)));
            }
            Act::Stall => {
                let lasts = self.chance.pick(&[300, 3_000, 20_000, 60_000]);
                connection.stalled_until = now + lasts;
                self.note(|| format!("{} reads nothing for {lasts} ms", name(id)));
            }
            Act::Unhear => {
                let lasts = self.chance.pick(&[300, 3_000, 20_000]);
                connection.unheard_until = now + lasts;
                self.note(|| format!("{} is not heard for {lasts} ms", name(id)));
            }
            Act::Ping => connection.ping(),
            Act::Acknowledge => connection.acknowledge_all(now),
            Act::Subscribe => self.subscribe(device),
            Act::Unsubscribe => self.unsubscribe(device),
            Act::Presence => {
                let mut presence = self.chance.pick(&[Presence::Active, Presence::Away]);
                if !self.profile.holds {
                    presence = Presence::Active;
                }
                self.say(device, presence);
            }
            Act::Private => self.publish(device),
            Act::Seen => self.seen(device),
            _ => {}
        }
    }

    pub(in crate::simulation) fn subscribe(&mut self, device: usize) {
        let count = self.chance.within(1, 2);
        let mut filters: Vec<(String, bool, bool)> = Vec::new();
        for _ in 0..count {
            let permission = self.permission();
            let filter = match self.chance.below(9) {
                0 | 1 => "n/#".to_owned(),
                2 => "n/+".to_owned(),
                3 | 4 => format!("n/{permission}"),
                5 => "#".to_owned(),
                6 => "x/#".to_owned(),
                7 => "x/a/+".to_owned(),
                _ => "events".to_owned(),
            };
            let at_least_once = self.chance.percent(80);
            let no_local = self.chance.percent(35);
            if filters.iter().all(|(other, ..)| *other != filter) {
                filters.push((filter, at_least_once, no_local));
            }
        }
        self.subscribe_to(device, filters);
    }

    /// To filters below `u/{user}/`, each with whether it is at least once and No Local.
    pub(in crate::simulation) fn subscribe_to(
        &mut self,
        device: usize,
        mut filters: Vec<(String, bool, bool)>,
    ) {
        let id = self.devices[device].packet_id();
        let head = self.contract.head();
        let Some(connection) = self.devices[device].current() else {
            return;
        };
        if connection.has_filter_request() {
            return;
        }
        let version = connection.watch.version;
        for (_, _, no_local) in &mut filters {
            *no_local &= version == 5;
        }
        let texts: Vec<String> = filters
            .iter()
            .map(|(filter, ..)| format!("u/{USER}/{filter}"))
            .collect();
        let asked: Vec<Asked<'_>> = texts
            .iter()
            .zip(&filters)
            .map(|(text, (_, at_least_once, no_local))| Asked {
                filter: text,
                qos: if *at_least_once { 1 } else { 0 },
                no_local: *no_local,
            })
            .collect();
        let bytes = packets::subscribe(version, id, &asked);
        connection.request(id, &bytes, Request::Subscribe(filters.clone()));
        let (session, stored) = (connection.watch.session, connection.watch.stored);
        if let Some(session) = session.filter(|_| !stored) {
            let row = &mut self.contract.sessions[session];
            for (filter, at_least_once, no_local) in &filters {
                row.asked(filter, *at_least_once, *no_local, head);
            }
        }
        let id = self.devices[device].id;
        self.note(|| format!("{} subscribes {filters:?}", name(id)));
    }

    pub(in crate::simulation) fn unsubscribe(&mut self, device: usize) {
        let filters = ["n/#", "n/+", "#", "x/#", "x/a/+", "events"];
        let filter = self.chance.pick(&filters);
        self.unsubscribe_from(device, filter);
    }

    pub(in crate::simulation) fn unsubscribe_from(&mut self, device: usize, filter: &str) {
        let id = self.devices[device].packet_id();
        let Some(connection) = self.devices[device].current() else {
            return;
        };
        if connection.has_filter_request() {
            return;
        }
        let text = format!("u/{USER}/{filter}");
        let bytes = packets::unsubscribe(connection.watch.version, id, &[&text]);
        connection.request(id, &bytes, Request::Unsubscribe(vec![filter.to_owned()]));
        let (session, stored) = (connection.watch.session, connection.watch.stored);
        if let Some(session) = session.filter(|_| !stored) {
            // Nothing is certain until the answer, save that nothing more need come.
            for made in &mut self.contract.sessions[session].subscriptions {
                if made.filter == filter && made.until.is_none() {
                    made.from = Some(u64::MAX);
                }
            }
        }
        let id = self.devices[device].id;
        self.note(|| format!("{} unsubscribes {filter}", name(id)));
    }

    pub(in crate::simulation) fn say(&mut self, device: usize, presence: Presence) {
        let now = millis();
        let id = self.devices[device].packet_id();
        let device_id = self.devices[device].id;
        let Some(connection) = self.devices[device].current() else {
            return;
        };
        let payload = match presence {
            Presence::Active => "active",
            Presence::Away => "away",
        };
        let bytes = packets::publish(
            connection.watch.version,
            &Outgoing {
                topic: &format!("u/{USER}/d/{device_id}/presence"),
                payload: payload.as_bytes(),
                qos: 1,
                id,
                retain: false,
                dup: false,
            },
        );
        connection.request(id, &bytes, Request::Presence(presence));
        self.whereabouts.unsure(device_id, now);
        self.note(|| format!("{} says {payload}", name(device_id)));
    }

    pub(in crate::simulation) fn seen(&mut self, device: usize) {
        let ids: Vec<_> = (0..2).filter_map(|_| self.recent()).collect();
        if ids.is_empty() {
            return;
        }
        let packet_id = self.devices[device].packet_id();
        let id = self.devices[device].id;
        let Some(connection) = self.devices[device].current() else {
            return;
        };
        let texts: Vec<String> = ids.iter().map(|(_, id)| format!("\"{id}\"")).collect();
        let payload = format!("{{\"ids\":[{}]}}", texts.join(","));
        let bytes = packets::publish(
            connection.watch.version,
            &Outgoing {
                topic: &format!("u/{USER}/d/{id}/seen"),
                payload: payload.as_bytes(),
                qos: 1,
                id: packet_id,
                retain: false,
                dup: false,
            },
        );
        let request = Request::Seen(ids.iter().map(|(_, id)| *id).collect());
        connection.request(packet_id, &bytes, request);
        self.note(|| {
            let seqs: Vec<u64> = ids.iter().map(|(seq, _)| *seq).collect();
            format!("{} has shown {seqs:?}", name(id))
        });
    }

    pub(in crate::simulation) fn publish(&mut self, device: usize) {
        let qos = self.chance.pick(&[0, 1, 1, 1, 2]);
        let retain = self.chance.percent(10);
        let padding = self.chance.pick(&[0, 10, 10, 3_000]);
        let topic = self.chance.pick(&["x/a/b", "x/a/c", "x/d"]);
        self.publish_to(device, topic, qos, retain, padding);
    }

    pub(in crate::simulation) fn publish_to(
        &mut self,
        device: usize,
        topic: &str,
        qos: u8,
        retain: bool,
        padding: usize,
    ) {
        self.numbers += 1;
        let number = self.numbers;
        let topic = format!("u/{USER}/{topic}");
        let payload = format!("{number};{}", " ".repeat(padding)).into_bytes();
        let id = self.devices[device].id;
        self.note(|| format!("{} publishes {number} to {topic} at QoS {qos}", name(id)));
        if qos == 2 {
            self.devices[device].publish_exactly_once(topic, payload);
            return;
        }
        let packet_id = match qos {
            0 => 0,
            _ => self.devices[device].packet_id(),
        };
        let Some(connection) = self.devices[device].current() else {
            return;
        };
        let bytes = packets::publish(
            connection.watch.version,
            &Outgoing {
                topic: &topic,
                payload: &payload,
                qos,
                id: packet_id,
                retain,
                dup: false,
            },
        );
        match qos {
            0 => connection.send(&bytes),
            _ => connection.request(packet_id, &bytes, Request::Private(number)),
        }
    }
}
