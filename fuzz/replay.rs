//! Runs a fuzz target without a fuzzer: every kept input, and changes of them from a fixed seed, so
//! that what was found once stays found on any machine with the stable compiler. Compiled into the
//! tests of each crate that has a target.

use std::path::Path;

/// Longest input that changes may grow to.
const BYTES_MAX: usize = 16 * 1024;

/// Numbers from a seed (xorshift64*, S. Vigna 2016): the same on every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `bound`, or 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("64 bits").max(1);
        usize::try_from((self.next() >> 16) % bound).expect("below a usize")
    }
}

/// Says what was tried where the target panics on it.
struct Tried<'a>(&'a [u8]);

impl Drop for Tried<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("the input, in hexadecimal: {hex}");
        }
    }
}

/// Runs `target` on what `fuzz/corpus/<name>` keeps and on so many changes of it.
pub(crate) fn replay(name: &str, changes: usize, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(name);
    let files = std::fs::read_dir(&folder).expect("a kept corpus");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    // The order of a folder is the file system's.
    paths.sort();
    let kept: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| std::fs::read(path).expect("readable"))
        .collect();
    assert!(kept.len() >= 8, "{} inputs are kept of {name}", kept.len());
    for input in &kept {
        let _tried = Tried(input);
        target(input);
    }
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for round in 0..changes {
        let mut input = kept[round % kept.len()].clone();
        for _ in 0..=numbers.below(4) {
            change(&mut input, &kept, &mut numbers);
        }
        input.truncate(BYTES_MAX);
        let _tried = Tried(&input);
        target(&input);
    }
}

fn change(input: &mut Vec<u8>, kept: &[Vec<u8>], numbers: &mut Numbers) {
    const TELLING: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'\n', b'"', b'9'];
    let at = numbers.below(input.len());
    let end = at + numbers.below((input.len() - at).min(64) + 1);
    match numbers.below(8) {
        0 if !input.is_empty() => input[at] ^= 1 << numbers.below(8),
        1 if !input.is_empty() => input[at] = TELLING[numbers.below(TELLING.len())],
        2 if !input.is_empty() => input[at] = input[at].wrapping_add(1),
        3 => drop(input.drain(at..end)),
        4 => {
            let piece = input[at..end].to_vec();
            input.splice(at..at, piece);
        }
        5 => input.truncate(at),
        6 => {
            let other = &kept[numbers.below(kept.len())];
            let from = numbers.below(other.len());
            let until = from + numbers.below((other.len() - from).min(256) + 1);
            input.splice(at..end, other[from..until].iter().copied());
        }
        _ => input.insert(at, TELLING[numbers.below(TELLING.len())]),
    }
}
