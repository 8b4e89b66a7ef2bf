//! What a full mailbox may push out.

use super::{Contract, Entry, Violation, must};
use crate::simulation::time::Millis;
use belfry_protocol::id::PermissionId;

impl Contract {
    /// Notes how much is owed, with one more of this permission or of the private space.
    pub(in crate::simulation) fn note_most(
        &mut self,
        permission: Option<PermissionId>,
        now: Millis,
    ) {
        if self.bounded_to.is_some() {
            let theirs = 1 + self.owed_count(now, |other| other.permission() == permission);
            let all = 1 + self.owed_count(now, |_| true);
            let most = self.most.entry(permission).or_default();
            *most = theirs.max(*most);
            self.most_in_all = all.max(self.most_in_all);
        }
    }

    /// How many entries are owed to a stored session; of one permission, of the private space, or all.
    fn owed_count(&self, now: Millis, of: impl Fn(&Entry) -> bool) -> usize {
        let entries = self.log.iter().filter(|entry| of(entry));
        entries.filter(|entry| self.owed_to_any(entry, now)).count()
    }

    /// What the mailbox no longer has, although nothing but a limit can have taken it.
    pub(in crate::simulation) fn vanished(
        &mut self,
        seqs: &[u64],
        now: Millis,
    ) -> Result<(), Violation> {
        let looked = self.look_at_vanished(seqs, now);
        self.most.clear();
        self.most_in_all = 0;
        looked
    }

    fn look_at_vanished(&mut self, seqs: &[u64], now: Millis) -> Result<(), Violation> {
        if seqs.is_empty() {
            return Ok(());
        }
        let Some(limit) = self.bounded_to else {
            return Err(format!("{seqs:?} are gone from the mailbox"));
        };
        let share = (limit / 4).max(1);
        for seq in seqs {
            let entry = self.entry(*seq).ok_or("no such entry")?;
            let theirs = self.most.get(&entry.permission()).copied();
            let (theirs, all) = (theirs.unwrap_or_default(), self.most_in_all);
            let owed = self.owed_to_any(entry, now);
            must!(
                !owed || theirs > share || all > limit,
                "{seq} was pushed out with {theirs} of its kind and {all} in all owed"
            );
        }
        for seq in seqs {
            self.log[usize::try_from(*seq).unwrap() - 1].dead = Some((now, "pushed out"));
        }
        Ok(())
    }
}
