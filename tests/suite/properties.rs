//! Does every promise of `docs/properties.md` have its tests, and every test of a promise its place there?

use std::{
    collections::BTreeSet,
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use crate::program::root;

/// A line of one of the page's tables.
struct Row {
    number: String,
    tests: Vec<String>,
    defects: Vec<String>,
}

/// A test of the sources.
#[derive(Debug)]
struct Test {
    /// Its path, as the page writes it.
    path: String,
    name: String,
    /// The pitfalls that its doc comment begins with.
    pitfalls: Vec<String>,
}

#[test]
fn every_promise_has_one_line_and_its_tests_are_there() {
    let (properties, pitfalls) = page();
    let numbers = |rows: &[Row]| rows.iter().map(|row| row.number.clone()).collect::<Vec<_>>();
    let expected: Vec<String> = PROPERTIES.map(|number| number.to_string()).collect();
    assert_eq!(numbers(&properties), expected, "give each property one line, in order");
    let expected: Vec<String> = PITFALLS.map(|number| format!("P{number}")).collect();
    assert_eq!(numbers(&pitfalls), expected, "give each pitfall one line, in order");

    let tests = tests();
    let mut wrong = Vec::new();
    for row in properties.iter().chain(&pitfalls) {
        if row.tests.is_empty() {
            wrong.push(format!("{} has no test: write one, and name it in its line", row.number));
        }
        for test in row.tests.iter().filter(|test| tests.iter().all(|found| found.path != **test)) {
            wrong.push(format!(
                "{} names `{test}`, which is no test: rename it here too",
                row.number
            ));
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_test_of_a_promise_stands_in_its_line() {
    let (properties, pitfalls) = page();
    let mut wrong = Vec::new();
    let mut stands = |rows: &[Row], number: &str, test: &Test| {
        let row = rows.iter().find(|row| row.number == number);
        match row {
            Some(row) if row.tests.contains(&test.path) => {}
            Some(_) => wrong.push(format!("add `{}` to the line of {number}", test.path)),
            None => wrong.push(format!("`{}` names {number}, which does not exist", test.path)),
        }
    };
    for test in tests() {
        if let Some(number) = property(&test.name) {
            stands(&properties, &number, &test);
        }
        for pitfall in &test.pitfalls {
            stands(&pitfalls, pitfall, &test);
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_test_names_its_promise() {
    let (properties, pitfalls) = page();
    let tests = tests();
    let of = |path: &str| tests.iter().find(|test| test.path == path);
    let mut wrong = Vec::new();
    for row in &properties {
        let others = row.tests.iter().filter_map(|path| of(path));
        for test in others.filter(|test| property(&test.name).as_ref() != Some(&row.number)) {
            wrong.push(format!("call `{}` `property_{:0>2}_…`", test.path, row.number));
        }
    }
    for row in &pitfalls {
        let others = row.tests.iter().filter_map(|path| of(path));
        for test in others.filter(|test| !test.pitfalls.contains(&row.number)) {
            let (path, number) = (&test.path, &row.number);
            wrong.push(format!("let the doc comment of `{path}` begin with `{number}: …`"));
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_promise_has_a_planted_defect_and_every_defect_a_test() {
    let (properties, pitfalls) = page();
    let defects = defects();
    let mut wrong = Vec::new();
    for row in properties.iter().chain(&pitfalls) {
        let name = |path: &str| path.rsplit("::").next().unwrap_or_default().to_owned();
        let names: Vec<String> = row.tests.iter().map(|path| name(path)).collect();
        let files: BTreeSet<&String> = defects
            .iter()
            .filter(|(_, test)| names.iter().any(|name| name.contains(test.as_str())))
            .map(|(file, _)| file)
            .collect();
        let number = &row.number;
        if files.is_empty() {
            wrong.push(format!(
                "plant a defect in tests/defects for one of {names:?}, so that {number} is seen to fail",
            ));
        } else if row.defects.iter().collect::<BTreeSet<_>>() != files {
            wrong.push(format!(
                "the defects of {number} are planted in {files:?}: say so in its line"
            ));
        }
    }
    let tests = tests();
    for (file, test) in &defects {
        if !tests.iter().any(|found| found.name.contains(test.as_str())) {
            wrong.push(format!("tests/defects/{file} is for `{test}`, which no test is called"));
        }
    }
    assert_none(&wrong);
}

#[test]
fn tests_and_their_pitfalls_are_found() {
    // Not as one text, or they would be found in this file.
    let text = [
        "/// P1, P23: a wait is no grant.",
        "/// P4 is not meant here.",
        "#[expect(",
        "    clippy::unwrap_used,",
        ")]",
        "#[test]",
        "fn one() {}",
        "",
        "/// P1: not a test.",
        "fn helper() {}",
        "proptest! {",
        "    #[test]",
        "    fn property_07_two(x: u8) {}",
        "}",
        "/// Property: no pitfall.",
        "#[tokio::test(start_paused = true)]",
        "async fn three() {}",
    ];
    let found: Vec<_> = tests_of("m", &text.join("\n"))
        .into_iter()
        .map(|test| (test.path, property(&test.name), test.pitfalls))
        .collect();
    let pitfalls = vec!["P1".to_owned(), "P23".to_owned()];
    assert_eq!(
        found,
        [
            ("m::one".to_owned(), None, pitfalls),
            ("m::property_07_two".to_owned(), Some("7".to_owned()), Vec::new()),
            ("m::three".to_owned(), None, Vec::new()),
        ]
    );
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "docs/properties.md is out of date:\n  {}", wrong.join("\n  "));
}

/// The number that a test's name begins with.
fn property(name: &str) -> Option<String> {
    let digits = name.strip_prefix("property_")?.split('_').next()?;
    Some(digits.parse::<u32>().ok()?.to_string())
}

/// The page's two tables.
fn page() -> (Vec<Row>, Vec<Row>) {
    let page = fs::read_to_string(root().join("docs/properties.md")).unwrap();
    let (properties, pitfalls) = page.split_once("\n## Pitfalls\n").unwrap();
    (rows(properties), rows(pitfalls))
}

/// The lines of a table below its head.
fn rows(text: &str) -> Vec<Row> {
    let lines = text.lines().filter(|line| line.starts_with('|')).skip(2);
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [number, _, tests, defects] = cells[..] else { panic!("four cells, not `{line}`") };
        let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Row { number: number.to_owned(), tests: names(tests), defects: names(defects) }
    };
    lines.map(row).collect()
}

/// The planted defects: the file that lists each, and what its test is called.
fn defects() -> Vec<(String, String)> {
    let mut defects = Vec::new();
    for path in files(&root().join("tests/defects"), "toml") {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        for line in fs::read_to_string(&path).unwrap().lines() {
            if let Some(test) = line.strip_prefix("test = ") {
                defects.push((file.clone(), test.trim_matches('"').to_owned()));
            }
        }
    }
    defects
}

/// All tests of the workspace that could show a promise.
fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for (folder, name) in PLACES {
        let folder = root().join(folder);
        for path in files(&folder, "rs") {
            let within = path.strip_prefix(&folder).unwrap().with_extension("");
            let parts = within.iter().map(|part| part.to_string_lossy().into_owned());
            let parts = std::iter::once(name.to_owned()).chain(parts);
            let parts = parts.filter(|part| !["", "lib", "main"].contains(&part.as_str()));
            let module = parts.collect::<Vec<_>>().join("::");
            tests.extend(tests_of(&module, &fs::read_to_string(&path).unwrap()));
        }
    }
    tests
}

/// The tests of a file: functions with an attribute that says so, also inside `proptest!`.
fn tests_of(module: &str, text: &str) -> Vec<Test> {
    let mut tests = Vec::new();
    let (mut doc, mut is_test, mut in_attribute) = (None, false, false);
    for line in text.lines().map(str::trim) {
        if in_attribute || line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
            in_attribute = !line.ends_with(']');
        } else if let Some(text) = line.strip_prefix("///") {
            doc.get_or_insert(text.trim());
        } else if !line.starts_with("//") {
            let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            if let Some(name) = name.filter(|_| is_test) {
                let end = name.find(|char: char| !char.is_alphanumeric() && char != '_');
                let name = name[..end.unwrap_or(name.len())].to_owned();
                let pitfalls = doc.map(pitfalls).unwrap_or_default();
                tests.push(Test { path: format!("{module}::{name}"), name, pitfalls });
            }
            (doc, is_test) = (None, false);
        }
    }
    tests
}

/// The pitfalls that a doc comment begins with, as in `P1, P4: a wait is no grant.`
fn pitfalls(doc: &str) -> Vec<String> {
    let is_pitfall =
        |word: &str| word.strip_prefix('P').is_some_and(|number| number.parse::<u32>().is_ok());
    let Some((before, _)) = doc.split_once(':') else { return Vec::new() };
    let words: Vec<String> = before.split(", ").map(str::to_owned).collect();
    if words.iter().all(|word| is_pitfall(word)) { words } else { Vec::new() }
}

/// The files of a kind below a folder, in order.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}

/// The properties and the pitfalls that there are.
const PROPERTIES: RangeInclusive<u32> = 1..=67;
const PITFALLS: RangeInclusive<u32> = 1..=55;

/// Where tests stand, and what the page calls the place.
const PLACES: [(&str, &str); 5] = [
    ("resilience-core/src", "resilience_core"),
    ("resilience-core/tests", ""),
    ("mock-server/src", "mock_server"),
    ("src", "brownout"),
    ("tests/suite", "suite"),
];
