//! Is this the message we meant? Each `tests/diagnostics/*.yaml` has its message beside it.
//!
//! `BROWNOUT_BLESS=1 cargo test diagnostics` writes what is said now; read it before committing.

use std::{fs, path::PathBuf};

use brownout::scenario::{Scenario, Source, Style, render};

use crate::program::root;

#[test]
fn every_mistake_is_told_as_it_was_meant() {
    let mut files: Vec<PathBuf> = fs::read_dir(root().join("tests/diagnostics"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let source = Source::from_bytes(name, &fs::read(&path).unwrap());
        let mistakes = Scenario::read("test", "test", source.clone()).expect_err(name);
        let mut said = Vec::new();
        render(&mistakes, &source, Style { colour: false, width: 100 }, &mut said).unwrap();
        let said = String::from_utf8(said).unwrap();
        let expected = path.with_extension("err");
        if std::env::var_os("BROWNOUT_BLESS").is_some() {
            fs::write(&expected, &said).unwrap();
        }
        if fs::read_to_string(&expected).unwrap_or_default() != said {
            wrong.push(format!("{name} says\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
