//! Pages that say of each statement of a specification what becomes of it here: their rows, and the
//! tests that they name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The ids that a list such as `4.1:1-3,7 4.2:1` stands for.
pub(crate) fn ids(prefix: &str, list: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for section in list.split_whitespace() {
        let (section, numbers) = section.split_once(':').expect("a section");
        for run in numbers.split(',') {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            let bound = |text: &str| text.parse::<u32>().expect("a number");
            ids.extend((bound(first)..=bound(last)).map(|n| format!("{prefix}-{section}-{n}")));
        }
    }
    ids
}

struct Row<'a> {
    id: &'a str,
    short: &'a str,
    status: &'a str,
}

/// The rows of the table below a heading, whose ids begin so.
fn rows<'a>(page: &'a str, heading: &str, prefix: &str) -> Vec<Row<'a>> {
    let (_, below) = page
        .split_once(&format!("\n## {heading}\n"))
        .expect(heading);
    let table = below.split("\n## ").next().unwrap_or_default();
    let rows = table
        .lines()
        .filter(|line| line.starts_with(&format!("| {prefix}-")));
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

/// A specification on a page: the heading of its table, how its ids begin, and the list of them.
pub(crate) struct Specification {
    pub(crate) heading: &'static str,
    pub(crate) prefix: &'static str,
    pub(crate) list: &'static str,
}

/// Panics with each statement that is missing, explained by nothing, or held by a test that is not there.
pub(crate) fn check_page(page: &str, specifications: &[Specification]) {
    let text = std::fs::read_to_string(root().join(page)).expect("the page");
    let tests = tests();
    assert!(tests.len() > 300, "the tests are found: {}", tests.len());
    let mut wrong = Vec::new();
    for specification in specifications {
        let heading = specification.heading;
        let rows = rows(&text, heading, specification.prefix);
        let found: Vec<_> = rows.iter().map(|row| row.id.to_owned()).collect();
        let wanted = ids(specification.prefix, specification.list);
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
    assert!(wrong.is_empty(), "{page}:\n{}", wrong.join("\n"));
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
