//! Takes a batch off the journal's end of which a power loss left out the middle.
//!
//! fjall takes a journal's end for torn where it stops being readable. Sectors may reach a disk in any
//! order, though: where the end of the newest batch was written and some of its values were not, it
//! reads well, its checksum is wrong, and fjall refuses to open. Nobody was told that such a batch is
//! durable, since its sync had not returned, so it may go. A wrong checksum anywhere else is damage
//! to what was synced: it is left alone, and the mailbox stays shut.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek as _};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

// Of fjall 3's journal: little-endian, a batch is START, its items and END.
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
/// After START: the number of items and the batch's place in the order.
const START_BYTES: usize = 4 + 8;
/// After ITEM: its type, its compression, its keyspace, and the lengths of its key, of its value and
/// of its value as written. Both follow.
const ITEM_BYTES: usize = 1 + 1 + 8 + 2 + 4 + 4;
/// After CLEAR: its keyspace.
const CLEAR_BYTES: usize = 8;
const TRAILER: &[u8; 4] = b"FJL\x03";

/// Cuts off the newest batch of the journals in this folder if its checksum is wrong and nothing
/// follows it; says whether it did.
///
/// # Errors
/// The files cannot be read or written.
pub(super) fn cut(folder: &Path) -> io::Result<bool> {
    let Some(journal) = newest(folder)? else {
        return Ok(false);
    };
    let file = OpenOptions::new().read(true).write(true).open(journal)?;
    let Some(from) = torn_from(&file)? else {
        return Ok(false);
    };
    file.set_len(from)?;
    file.sync_all()?;
    Ok(true)
}

/// The journal that was written last; those before it were synced whole.
fn newest(folder: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest: Option<(u64, PathBuf)> = None;
    for item in std::fs::read_dir(folder)? {
        let path = item?.path();
        let number = path
            .extension()
            .filter(|kind| *kind == "jnl")
            .and_then(|_| path.file_stem()?.to_str()?.parse().ok());
        if let Some(number) = number
            && newest.as_ref().is_none_or(|(newest, _)| number > *newest)
        {
            newest = Some((number, path));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// Where the last batch begins if its checksum is wrong.
fn torn_from(file: &File) -> io::Result<Option<u64>> {
    let mut reader = BufReader::new(file);
    loop {
        let from = reader.stream_position()?;
        match batch_is_whole(&mut reader) {
            Ok(Some(true)) => {}
            Ok(Some(false)) => return Ok(only_zeros(&mut reader)?.then_some(from)),
            // Where it stops being readable the engine finds its way by itself.
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Reads a batch and says whether its checksum is right; `None` where this is no batch.
fn batch_is_whole(reader: &mut impl Read) -> io::Result<Option<bool>> {
    if take::<1>(reader)? != [START] {
        return Ok(None);
    }
    take::<START_BYTES>(reader)?;
    let mut checksum = Xxh3::new();
    loop {
        let [tag] = take(reader)?;
        match tag {
            ITEM => {
                let header = take::<ITEM_BYTES>(reader)?;
                let [.., k0, k1, _, _, _, _, v0, v1, v2, v3] = header;
                let key = u64::from(u16::from_le_bytes([k0, k1]));
                let value = u64::from(u32::from_le_bytes([v0, v1, v2, v3]));
                checksum.update(&[ITEM]);
                checksum.update(&header);
                hash(reader, key + value, &mut checksum)?;
            }
            CLEAR => {
                checksum.update(&[CLEAR]);
                checksum.update(&take::<CLEAR_BYTES>(reader)?);
            }
            END => {
                let expected = u64::from_le_bytes(take(reader)?);
                let trailer = take(reader)?;
                return Ok((trailer == *TRAILER).then(|| checksum.digest() == expected));
            }
            _ => return Ok(None),
        }
    }
}

fn take<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn hash(reader: &mut impl Read, length: u64, checksum: &mut Xxh3) -> io::Result<()> {
    let mut left = reader.take(length);
    let mut part = [0; 4_096];
    while left.limit() > 0 {
        let read = left.read(&mut part)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        checksum.update(part.get(..read).unwrap_or_default());
    }
    Ok(())
}

fn only_zeros(reader: &mut impl Read) -> io::Result<bool> {
    let mut part = [0; 4_096];
    loop {
        let read = reader.read(&mut part)?;
        if read == 0 {
            return Ok(true);
        }
        if part.iter().take(read).any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
}
