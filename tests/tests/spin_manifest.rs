//! `spin.toml` says what the component reads, no more and no less.

use std::{collections::BTreeSet, fs, path::Path};

use authly_core::{
    config::{Config, Reader},
    proxy::TrustedProxies,
};
use toml::{Table, Value};

fn read(name: &str) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(path).expect("it is there").parse().expect("TOML")
}

/// Every variable that the component reads, and whether it never shows.
fn variables() -> Vec<(String, bool)> {
    let lookup = |_: &str| Some("x".to_owned());
    let mut reader = Reader::new(&lookup);
    Config::read(&mut reader);
    TrustedProxies::read(&mut reader);
    reader.text("LOG_LEVEL");
    reader.secret("DATABASE_URL");
    let settings = reader.settings().iter();
    settings.map(|setting| (setting.variable.to_lowercase(), setting.value == "(redacted)")).collect()
}

#[test]
fn it_declares_what_the_component_reads() {
    let manifest = read("spin.toml");
    let declared = manifest["variables"].as_table().expect("a table");
    let given = manifest["component"]["authly"]["variables"].as_table().expect("a table");
    for (name, is_secret) in variables() {
        let variable = declared.get(&name).unwrap_or_else(|| panic!("{name} is not declared"));
        assert_eq!(variable.get("secret").and_then(Value::as_bool).unwrap_or_default(), is_secret, "{name}");
        assert_eq!(given.get(&name).and_then(Value::as_str), Some(&*format!("{{{{ {name} }}}}")), "{name}");
    }
    let read: BTreeSet<_> = variables().into_iter().map(|(name, _)| name).collect();
    assert_eq!(given.keys().cloned().collect::<BTreeSet<_>>(), read, "given, but read by nobody");
    let others: Vec<_> = declared.keys().filter(|name| !read.contains(*name)).collect();
    assert_eq!(others, ["database_host"]);
}

/// Postgres, at one address.
#[test]
fn it_allows_no_more_than_the_database() {
    let manifest = read("spin.toml");
    let component = &manifest["component"]["authly"];
    assert_eq!(component["allowed_outbound_hosts"], Value::from(vec!["postgres://{{ database_host }}"]));
    for more in ["files", "environment", "key_value_stores", "sqlite_databases", "ai_models"] {
        assert!(component.get(more).is_none(), "{more}");
    }
}

#[test]
fn it_is_of_this_release() {
    let (manifest, workspace) = (read("spin.toml"), read("Cargo.toml"));
    assert_eq!(manifest["application"]["version"], workspace["workspace"]["package"]["version"]);
    let component = &manifest["component"]["authly"];
    let (source, command) = (component["source"].as_str(), component["build"]["command"].as_str());
    assert!(source.is_some_and(|path| path == "target/wasm32-wasip2/component/authly_spin.wasm"), "{source:?}");
    assert!(command.is_some_and(|it| it.ends_with("--target wasm32-wasip2 --profile component")), "{command:?}");
    assert!(workspace["profile"].get("component").is_some());
}
