//! What the disk does by itself: the measure that accepts are compared to.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the disk is tried.
const FOR: Duration = Duration::from_secs(2);

/// Appends of so many bytes a second, each synced (`fdatasync`) before the next.
pub(super) fn synced_appends_per_second(folder: &Path, bytes: usize) -> anyhow::Result<f64> {
    let path = folder.join("disk");
    let mut file = File::create(&path)?;
    let block = vec![0x5a; bytes];
    let (start, mut appends) = (Instant::now(), 0u32);
    while start.elapsed() < FOR {
        file.write_all(&block)?;
        file.sync_data()?;
        appends += 1;
    }
    let per_second = f64::from(appends) / start.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(per_second)
}
