//! The promise: docs/mqtt.md says of every numbered statement of both MQTT specifications what becomes
//! of it, and each test that it names is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

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

/// The ids that a list above stands for.
fn ids(list: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for section in list.split_whitespace() {
        let (section, numbers) = section.split_once(':').expect("a section");
        for run in numbers.split(',') {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            let bound = |text: &str| text.parse::<u32>().expect("a number");
            ids.extend((bound(first)..=bound(last)).map(|n| format!("MQTT-{section}-{n}")));
        }
    }
    ids
}

struct Row<'a> {
    id: &'a str,
    short: &'a str,
    status: &'a str,
}

/// The rows of the table below a heading.
fn rows<'a>(page: &'a str, heading: &str) -> Vec<Row<'a>> {
    let (_, below) = page
        .split_once(&format!("\n## {heading}\n"))
        .expect(heading);
    let table = below.split("\n## ").next().unwrap_or_default();
    let rows = table.lines().filter(|line| line.starts_with("| MQTT-"));
    rows.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, short, status] = cells[..] else {
            panic!("three cells: {line}");
        };
        Row { id, short, status }
    })
    .collect()
}

/// What stands in backticks and has a path: tests.
fn named(status: &str) -> impl Iterator<Item = &str> {
    let code = status.split('`').skip(1).step_by(2);
    code.filter(|text| text.contains("::"))
}

/// Why a status is not one; none where it is well-formed.
fn fault(status: &str) -> Option<String> {
    for part in status.split("; ").filter(|part| {
        let kinds = ["holds: ", "restricted: ", "not applicable: "];
        kinds.iter().any(|kind| part.starts_with(kind)) || status.starts_with(part)
    }) {
        let why = |rest: &str| (rest.len() < 3).then(|| format!("no reason: {part}"));
        if let Some(rest) = part.strip_prefix("holds: ") {
            let all = rest.split(", ").all(|name| {
                name.starts_with('`') && name.ends_with('`') && named(name).count() == 1
            });
            if !all {
                return Some(format!("holds by what test: {part}"));
            }
        } else if let Some(rest) = part.strip_prefix("restricted: ") {
            return why(rest);
        } else if let Some(rest) = part.strip_prefix("not applicable: ") {
            return why(rest);
        } else {
            return Some(format!("not a status: {part}"));
        }
    }
    None
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "target" && name != "node_modules" && name != "fuzz" {
            sources(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            into.push(path);
        }
    }
}

/// The tests of the workspace: name to the folders and files that each may be named by.
fn tests() -> BTreeMap<String, Vec<Vec<String>>> {
    let mut paths = Vec::new();
    for member in [
        "acl", "account", "bridge", "broker", "client", "config", "edge", "protocol", "src",
        "store", "tests",
    ] {
        sources(&root().join(member), &mut paths);
    }
    let mut tests: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a source");
        let below = path.strip_prefix(root()).expect("below").with_extension("");
        let place: Vec<String> = below
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        // The promises of every engine are made into tests by a macro that lists them.
        let listed = match text.split_once("holds_for! { $engine:") {
            Some((_, list)) => list.split('}').next().unwrap_or_default(),
            None => "",
        };
        let mut attributed = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[") {
                attributed |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| attributed) {
                let name: String = rest
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                tests.entry(name).or_default().push(place.clone());
                attributed = false;
            }
        }
        for name in listed.split_whitespace() {
            tests
                .entry(name.to_owned())
                .or_default()
                .push(place.clone());
        }
    }
    tests
}

/// Whether a name like `wire::refused::texts` is a test's: its modules lie, in this order, on its path.
fn is_test(tests: &BTreeMap<String, Vec<Vec<String>>>, name: &str) -> bool {
    let mut modules: Vec<_> = name.split("::").collect();
    let function = modules.pop().unwrap_or_default();
    tests.get(function).into_iter().flatten().any(|place| {
        let mut place = place.iter();
        modules
            .iter()
            .all(|module| place.any(|part| part == module))
    })
}

#[test]
fn every_statement_is_explained_and_every_test_named_is_there() {
    let page = std::fs::read_to_string(root().join("docs/mqtt.md")).expect("the page");
    let tests = tests();
    assert!(tests.len() > 300, "the tests are found: {}", tests.len());
    let mut wrong = Vec::new();
    for (heading, list) in [("MQTT 5.0", V5), ("MQTT 3.1.1", V311)] {
        let rows = rows(&page, heading);
        let found: Vec<_> = rows.iter().map(|row| row.id.to_owned()).collect();
        let wanted = ids(list);
        let (have, want): (BTreeSet<_>, BTreeSet<_>) =
            (found.iter().collect(), wanted.iter().collect());
        wrong.extend(
            want.difference(&have)
                .map(|id| format!("{heading}: {id} is missing")),
        );
        wrong.extend(
            have.difference(&want)
                .map(|id| format!("{heading}: {id} is none")),
        );
        if found.len() != have.len() {
            wrong.push(format!("{heading}: a statement stands there twice"));
        }
        for row in rows {
            if row.short.len() < 3 {
                wrong.push(format!("{heading}: {} is not said in short", row.id));
            }
            wrong.extend(fault(row.status).map(|fault| format!("{heading}: {} {fault}", row.id)));
            let gone = named(row.status).filter(|name| !is_test(&tests, name));
            wrong.extend(gone.map(|name| format!("{heading}: {} there is no test {name}", row.id)));
        }
    }
    assert!(wrong.is_empty(), "docs/mqtt.md:\n{}", wrong.join("\n"));
}

#[test]
fn both_lists_are_whole() {
    assert_eq!(ids(V5).len(), 251);
    assert_eq!(ids(V311).len(), 141);
}

#[test]
fn a_row_without_an_explanation_is_seen() {
    let check = |status: &str, good: bool| assert_eq!(fault(status).is_none(), good, "{status}");
    check("holds: `a::b`", true);
    check("holds: `a::b`, `c::d::e`", true);
    check("holds: `a::b`; restricted: so it is", true);
    check("restricted: so it is; and so", true);
    check("not applicable: for clients", true);
    check("holds: ", false);
    check("holds: a::b", false);
    check("holds: `b`", false);
    check("holds: `a::b`; restricted: ", false);
    check("restricted: ", false);
    check("not applicable: ", false);
    check("maybe", false);
    check("", false);
}
