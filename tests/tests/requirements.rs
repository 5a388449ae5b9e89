//! `requirements.md` names tests that exist, and every scenario is in it and in every host's list.

use std::{collections::BTreeSet, fs, path::Path};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `area::name` of every `prefix name(…` at the beginning of a line.
fn functions(directory: &str, prefixes: &[&str]) -> BTreeSet<String> {
    let mut functions = BTreeSet::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)).expect("it is there") {
        let name = entry.expect("readable").file_name().into_string().expect("UTF-8");
        let Some(area) = name.strip_suffix(".rs") else { continue };
        for line in read(&format!("{directory}/{name}")).lines() {
            let rest = prefixes.iter().find_map(|prefix| line.strip_prefix(prefix));
            if let Some(name) = rest.and_then(|rest| rest.split(['(', '<']).next()) {
                functions.insert(format!("{area}::{name}"));
            }
        }
    }
    functions
}

fn scenarios() -> BTreeSet<String> {
    functions("src/scenarios", &["pub async fn "]).into_iter().filter(|name| name != "metadata::well_known").collect()
}

#[test]
fn every_scenario_is_in_the_list_of_hosts() {
    let source = read("src/scenarios.rs");
    let list = source.split_once("{ @ $host;").and_then(|(_, rest)| rest.split_once("    };")).expect("the list").0;
    let mut listed = BTreeSet::new();
    let mut area = "";
    for line in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_suffix('{') {
            Some(head) => area = head.split_whitespace().last().expect("an area"),
            None if line.starts_with('}') => {}
            None => assert!(listed.insert(format!("{area}::{line}")), "{line} is listed twice"),
        }
    }
    assert_eq!(listed, scenarios());
}

#[test]
fn every_name_in_the_table_exists_and_every_scenario_is_in_it() {
    let table = read("requirements.md");
    let named: BTreeSet<String> = table
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| line.split('`'))
        .filter(|text| text.contains("::") && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:".contains(&b)))
        .map(str::to_owned)
        .collect();
    let scenarios = scenarios();
    let tests = functions("tests", &["async fn ", "fn "]);
    let missing: Vec<_> = named.iter().filter(|name| !scenarios.contains(*name) && !tests.contains(*name)).collect();
    assert!(missing.is_empty(), "named in requirements.md, but nowhere else: {missing:#?}");
    let unnamed: Vec<_> = scenarios.difference(&named).collect();
    assert!(unnamed.is_empty(), "not in requirements.md: {unnamed:#?}");
}
