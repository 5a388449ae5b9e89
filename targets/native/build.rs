//! `sqlx::migrate!` embeds the files that are there when this crate is compiled; a new one has to compile it again.
#![allow(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
