//! What a `spin.toml` says of an application with one HTTP component, and what its variables are.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use wasmtime::{Result, bail, error::Context as _, format_err};

/// An application as it runs.
pub struct Application {
    /// The component's file.
    pub component: PathBuf,
    /// The component's name.
    pub name: String,
    /// Its variables, resolved.
    pub variables: BTreeMap<String, String>,
    /// Its `allowed_outbound_hosts`, resolved.
    pub allowed_outbound_hosts: Vec<String>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    component: BTreeMap<String, Component>,
    trigger: Triggers,
}

#[derive(Deserialize)]
struct Variable {
    default: Option<String>,
    #[serde(default)]
    required: bool,
}

#[derive(Deserialize)]
struct Component {
    source: PathBuf,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Triggers {
    http: [Trigger; 1],
}

#[derive(Deserialize)]
struct Trigger {
    component: String,
    route: String,
}

impl Application {
    /// Reads a manifest. `given` are variables by name, which win over `SPIN_VARIABLE_…` in the environment, which wins
    /// over the manifest's defaults.
    pub fn read(path: &Path, given: &[(String, String)]) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let manifest: Manifest = toml::from_str(&text).with_context(|| format!("{} is not right", path.display()))?;
        let Triggers { http: [Trigger { component: name, route }] } = manifest.trigger;
        if route != "/..." {
            bail!("this host knows no route but /...");
        }
        let component = manifest.component.get(&name).ok_or_else(|| format_err!("there is no component {name}"))?;
        let mut values = BTreeMap::new();
        for (name, Variable { default, required }) in manifest.variables {
            check_name(&name).map_err(wasmtime::Error::msg)?;
            if required == default.is_some() {
                bail!("the variable {name} must either be required or have a default");
            }
            let given = given.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
            let value = given.or_else(|| env::var(format!("SPIN_VARIABLE_{}", name.to_uppercase())).ok()).or(default);
            let value = value.ok_or_else(|| format_err!("no provider resolved required variable(s): [{name:?}]"))?;
            values.insert(name, value);
        }
        if let Some((unknown, _)) = given.iter().find(|(name, _)| !values.contains_key(name)) {
            bail!("the manifest has no variable {unknown}");
        }
        let mut variables = BTreeMap::new();
        for (name, template) in &component.variables {
            check_name(name).map_err(wasmtime::Error::msg)?;
            variables.insert(name.clone(), resolve(template, &values)?);
        }
        let hosts = component.allowed_outbound_hosts.iter();
        Ok(Self {
            component: path.parent().unwrap_or(Path::new("")).join(&component.source),
            allowed_outbound_hosts: hosts.map(|host| resolve(host, &values)).collect::<Result<_>>()?,
            variables,
            name,
        })
    }
}

/// Puts variables in the place of `{{ name }}`.
fn resolve(template: &str, variables: &BTreeMap<String, String>) -> Result<String> {
    let Some((before, rest)) = template.split_once("{{") else {
        return Ok(template.to_owned());
    };
    let (name, after) = rest.split_once("}}").ok_or_else(|| format_err!("{template:?} does not end"))?;
    let value = variables.get(name.trim()).ok_or_else(|| format_err!("unknown variable {:?}", name.trim()))?;
    Ok(format!("{before}{value}{}", resolve(after, variables)?))
}

/// Lower-case letters, digits, and single underscores within.
pub fn check_name(name: &str) -> std::result::Result<(), String> {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if name.starts_with(|first: char| first.is_ascii_lowercase()) && name.split('_').all(is_word) {
        Ok(())
    } else {
        Err(format!("{name:?}: lower-case letters, digits and single underscores only"))
    }
}
