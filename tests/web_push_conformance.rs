//! The promise: docs/web-push.md says of every normative statement of the three RFCs of Web Push what
//! becomes of it, and each test that it names is there.

use crate::clauses::{Specification, check_page, ids};

/// The statements of RFC 8030, by section.
const RFC_8030: &str = "\
    3:1-3 4:1-4 4.1:1-6 5:1-2 5.1:1-9 5.2:1-7 5.3:1-8 5.4:1-7 6:1-6 6.1:1-4 6.2:1-4 6.3:1-3 \
    7.1:1 7.2:1-7 7.3:1-4 7.3.1:1-3 7.5:1 8:1 8.1:1 8.2:1-6 8.3:1-2 8.4:1-4 8.5:1";

/// Those of RFC 8291.
const RFC_8291: &str = "\
    2.1:1 3.1:1-2 3.2:1-2 4:1-8 7:1-2";

/// Those of RFC 8292.
const RFC_8292: &str = "\
    2:1-10 2.1:1-2 2.2:1-2 3:1-3 3.2:1-3 4.1:1-3 4.2:1-4";

#[test]
fn every_statement_is_explained_and_every_test_named_is_there() {
    let rfc = |heading, prefix, list| Specification {
        heading,
        prefix,
        list,
    };
    let all = [
        rfc("RFC 8030", "8030", RFC_8030),
        rfc("RFC 8291", "8291", RFC_8291),
        rfc("RFC 8292", "8292", RFC_8292),
    ];
    check_page("docs/web-push.md", &all);
}

#[test]
fn the_lists_are_whole() {
    assert_eq!(ids("8030", RFC_8030).len(), 94);
    assert_eq!(ids("8291", RFC_8291).len(), 15);
    assert_eq!(ids("8292", RFC_8292).len(), 27);
}
