//! The promise: docs/mqtt.md says of every numbered statement of both MQTT specifications what becomes
//! of it, and each test that it names is there.

use crate::clauses::{Specification, check_page, ids};

/// The statements of MQTT 5.0, by section (appendix B; MQTT-3.1.3-10 and the like included).
const V5: &str = "\
    1.5.4:1-3 1.5.5:1 1.5.7:1 2.1.3:1 2.2.1:2-6 2.2.2:1 3.1.0:1-2 3.1.2:1-30 3.1.3:1-12 \
    3.1.4:1-6 3.2.0:1-2 3.2.2:1-22 3.3.1:1-13 3.3.2:1-20 3.3.4:1-10 3.4.2:1-3 3.5.2:1-3 \
    3.6.1:1 3.6.2:1-3 3.7.2:1-3 3.8.1:1 3.8.3:1-5 3.8.4:1-8 3.9.2:1-2 3.9.3:1-2 3.10.1:1 \
    3.10.3:1-2 3.10.4:1-6 3.11.2:1-2 3.11.3:1-2 3.12.4:1 3.14.0:1 3.14.1:1 3.14.2:1-4 \
    3.14.4:1-3 3.15.1:1 3.15.2:1-3 4.1.0:1-2 4.2.0:1 4.3.1:1 4.3.2:1-5 4.3.3:1-13 4.4.0:1-2 \
    4.5.0:1-2 4.6.0:1-6 4.7.0:1 4.7.1:1-2 4.7.2:1 4.7.3:1-4 4.8.2:1-6 4.9.0:1-3 4.12.0:1-7 \
    4.12.1:1-2 4.13.1:1 4.13.2:1 6.0.0:1-4";

/// The statements of MQTT 3.1.1.
const V311: &str = "\
    1.5.3:1-3 2.2.2:1-2 2.3.1:1-7 3.1.0:1-2 3.1.2:1-24 3.1.3:1-11 3.1.4:1-5 3.2.0:1 3.2.2:1-6 \
    3.3.1:1-12 3.3.2:1-3 3.3.4:1 3.3.5:1-2 3.6.1:1 3.8.1:1 3.8.3:1-4 3.8.4:1-6 3.9.3:1-2 \
    3.10.1:1 3.10.3:1-2 3.10.4:1-6 3.12.4:1 3.14.1:1 3.14.4:1-3 4.1.0:1-2 4.3.1:1 4.3.2:1-2 \
    4.3.3:1-2 4.4.0:1 4.5.0:1-2 4.6.0:1-6 4.7.1:1-3 4.7.2:1 4.7.3:1-4 4.8.0:1-2 6.0.0:1-4 \
    7.0.0:1-2 7.1.1:1 7.1.2:1";

#[test]
fn every_statement_is_explained_and_every_test_named_is_there() {
    let mqtt = |heading, list| Specification {
        heading,
        prefix: "MQTT",
        list,
    };
    let both = [mqtt("MQTT 5.0", V5), mqtt("MQTT 3.1.1", V311)];
    check_page("docs/mqtt.md", &both);
}

#[test]
fn both_lists_are_whole() {
    assert_eq!(ids("MQTT", V5).len(), 251);
    assert_eq!(ids("MQTT", V311).len(), 141);
}
