//! The lines of a stream as its pieces come. It keeps what is begun of one line and no more: what is
//! longer than an item may be is forgotten up to its end.

use super::ITEM_BYTES_MAX;
use super::item::Parsed;
use std::collections::VecDeque;

/// The line that is begun.
#[derive(Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
    too_long: bool,
}

impl Lines {
    /// Takes a piece, and adds the items whose lines end in it.
    pub(crate) fn take(&mut self, mut piece: &[u8], items: &mut VecDeque<Parsed>) {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&piece[..end], &piece[end + 1..]);
            piece = rest;
            if self.begun.is_empty() && !self.too_long && line.len() <= ITEM_BYTES_MAX {
                items.extend(Parsed::of_line(line));
            } else {
                self.begin(line);
                items.extend(self.end());
            }
        }
        self.begin(piece);
    }

    /// The line that the stream ends with, where it does not end with a newline.
    pub(crate) fn end(&mut self) -> Option<Parsed> {
        let line = std::mem::take(&mut self.begun);
        if std::mem::take(&mut self.too_long) {
            return Some(Parsed::TooLong);
        }
        Parsed::of_line(&line)
    }

    /// Whether the last line has not ended.
    pub(crate) fn has_begun(&self) -> bool {
        self.too_long || !self.begun.is_empty()
    }

    fn begin(&mut self, bytes: &[u8]) {
        if self.too_long || self.begun.len() + bytes.len() > ITEM_BYTES_MAX {
            self.too_long = true;
            self.begun = Vec::new();
        } else {
            self.begun.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a stream in these pieces has in it: `o` an object, `n` no object, `j` no JSON, `l` too long.
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
        let (mut lines, mut items) = (Lines::default(), VecDeque::new());
        for piece in pieces {
            lines.take(piece, &mut items);
            assert!(lines.begun.capacity() <= 2 * ITEM_BYTES_MAX);
        }
        let last = lines.has_begun();
        let end = lines.end();
        assert!(last || end.is_none());
        items.extend(end);
        let kind = |item: Parsed| match item {
            Parsed::Fields(_) => 'o',
            Parsed::NotAnObject | Parsed::Twice(_) => 'n',
            Parsed::NotJson(_) => 'j',
            Parsed::TooLong => 'l',
        };
        items.into_iter().map(kind).collect()
    }

    fn long(bytes: usize) -> String {
        format!("{{\"x\":\"{}\"}}", "a".repeat(bytes - 8))
    }

    #[test]
    fn a_line_is_an_item_however_it_ends() {
        let check = |text: &str, expected: &str| assert_eq!(read([text.as_bytes()]), expected);
        check("", "");
        check("\n\r\n \n", "");
        check("{}\n{}\n", "oo");
        check("{}\r\n{}", "oo");
        check("{}\n\n7\nx\n{", "onjj");
        check(&format!("{}\n{{}}", long(ITEM_BYTES_MAX)), "oo");
        check(&format!("{}\n{{}}", long(ITEM_BYTES_MAX + 1)), "lo");
        check(&long(3 * ITEM_BYTES_MAX), "l");
        check(&format!("{}\n", long(ITEM_BYTES_MAX + 1)), "l");
    }

    proptest! {
        #[test]
        fn where_the_pieces_end_changes_nothing(
            kinds in proptest::collection::vec(0usize..6, 0..12),
            cuts in proptest::collection::vec(0usize..40_000, 0..20),
            newline: bool,
        ) {
            let texts = ["{}", "7", "x", "", " \r", &long(ITEM_BYTES_MAX + 5)];
            let text = kinds.iter().map(|kind| texts[*kind]).collect::<Vec<_>>().join("\n");
            let text = if newline { text + "\n" } else { text };
            let whole = read([text.as_bytes()]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]);
            prop_assert_eq!(read(pieces), whole);
        }
    }
}
