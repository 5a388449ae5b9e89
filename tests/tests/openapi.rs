//! The description of the API against the code, and against what a description must be.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Stdio},
};

use authly_core::{Audience, router::Endpoint};
use authly_tests::openapi::Document;
use http::Method;

/// What programs call, each with its methods; HEAD goes without saying.
fn endpoints() -> BTreeSet<(String, String)> {
    Endpoint::ALL
        .into_iter()
        .filter(|endpoint| endpoint.audience() != Audience::Person && *endpoint != Endpoint::Stylesheet)
        .flat_map(|endpoint| endpoint.methods().iter().map(move |method| (endpoint.path().to_owned(), method)))
        .filter(|(_, method)| **method != Method::HEAD)
        .map(|(path, method)| (path, method.to_string()))
        .collect()
}

#[test]
fn every_endpoint_is_described_and_nothing_else() {
    let described: BTreeSet<_> =
        Document::get().operations().into_iter().map(|operation| (operation.path, operation.method)).collect();
    let endpoints = endpoints();
    let missing: Vec<_> = endpoints.difference(&described).collect();
    let invented: Vec<_> = described.difference(&endpoints).collect();
    assert!(missing.is_empty() && invented.is_empty(), "not described: {missing:#?}\nnot there: {invented:#?}");
}

/// By the schema of the OpenAPI initiative, in somebody else's validator.
#[test]
fn the_document_is_valid_openapi() {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let validator = "node_modules/@seriousme/openapi-schema-validator/bin/validate-api-cli.js";
    assert!(clients.join(validator).is_file(), "the npm packages are not there: tests/run.sh installs them");
    let output = Command::new("node")
        .args([validator, "../../core/assets/openapi.json"])
        .current_dir(&clients)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("node does not start ({error}): tests/run.sh installs it"));
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && report.contains("\"valid\": true"), "{report}");
}

#[test]
fn references_lead_somewhere_and_every_component_is_used() {
    let document = Document::get();
    let references = document.references();
    let dangling: Vec<_> = references.iter().filter(|(_, is_there)| !is_there).collect();
    assert!(dangling.is_empty(), "{dangling:#?}");
    let used: BTreeSet<_> = references.into_iter().map(|(reference, _)| reference).collect();
    let unused: Vec<_> = document.components().difference(&used).cloned().collect();
    assert!(unused.is_empty(), "{unused:#?}");
}

#[test]
fn examples_are_of_their_schemas() {
    assert!(Document::get().check_examples() > 10, "there are examples");
}

/// Every operation of the admin API names the scope that it takes.
#[test]
fn every_administrative_operation_names_its_scope() {
    for operation in Document::get().operations() {
        let is_admin = operation.path.starts_with("/admin/");
        let scope = operation.scope.unwrap_or_default();
        assert_eq!(is_admin, scope.starts_with("admin:"), "{} {}", operation.method, operation.path);
        if is_admin {
            let kind = if operation.method == "GET" { "read" } else { "write" };
            assert_eq!(scope.rsplit(':').next(), Some(kind), "{} {}", operation.method, operation.path);
        }
    }
}
