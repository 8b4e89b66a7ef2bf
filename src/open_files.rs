//! How many connections the system lets this process have, and who gets them.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Files of the process itself: up to 900 tables of the mailbox, its journals, the directory's
/// connections, listeners, and connections that are being told why they may not stay.
const OWN: u64 = 1_300;

/// Connections that there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) mqtt: usize,
    pub(crate) http: usize,
}

impl Room {
    /// Divides so many open files. Sites and people get an eighth, which devices cannot take from
    /// them; where there are few files, the process has half for itself.
    fn of(open_files: u64) -> Self {
        let http = open_files / 8;
        let mqtt = open_files - http - OWN.min(open_files / 2);
        let count = |files| usize::try_from(files).unwrap_or(usize::MAX).max(4);
        Self {
            mqtt: count(mqtt),
            http: count(http),
        }
    }

    /// What a setting asks for, as far as there is room.
    pub(crate) fn take(self, key: &str, wanted: Option<usize>, room: usize) -> usize {
        let wanted = wanted.unwrap_or(room);
        if wanted > room {
            tracing::warn!(
                "{key} = {wanted}: the limit of open files leaves room for {room}, and that is used"
            );
        }
        wanted.min(room)
    }
}

/// Raises the soft limit of open files to the hard one: the usual 1,024 is kept low for programs that
/// still call `select`, and would be the most devices that can connect.
pub(crate) fn raise_limit() -> Room {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let soft = limit.current;
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files stays as it is");
            limit.current = soft;
        }
    }
    // None is no limit.
    Room::of(limit.current.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_leave_room_for_the_rest() {
        let check = |open_files, mqtt, http| {
            assert_eq!(Room::of(open_files), Room { mqtt, http }, "{open_files}");
        };
        check(20_000, 16_200, 2_500);
        check(1_048_576, 916_204, 131_072);
        check(1_024, 384, 128);
        check(8, 4, 4);
    }
}
