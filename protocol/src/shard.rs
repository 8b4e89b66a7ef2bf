//! Which bucket a user belongs to: the unit in which hints are ordered and, in a cluster, placed.

use crate::id::UserId;

/// Buckets of the hint bus. A user's hints all travel in one bucket, so they stay in commit order.
pub const BUCKETS: u16 = 64;

/// The bucket of a user, below [`BUCKETS`].
///
/// User ids are random, so two of their bytes are as even as any hash of them.
pub fn bucket(user: UserId) -> u16 {
    let [.., high, low] = *user.as_bytes();
    u16::from_be_bytes([high, low]) % BUCKETS
}
