//! Pure decisions: no I/O, no async. Backends that work in transactions load a row, ask here, and write the answer
//! down; Postgres decides the same in SQL. The conformance suite holds both to the same outcomes.

pub mod code;
pub mod consent;
pub mod refresh;
