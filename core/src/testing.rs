//! Feature `testing`: what stores and hosts are tested with.

mod clock;
mod entropy;
mod memory;
pub mod suite;

pub use clock::ManualClock;
pub use entropy::SeededEntropy;
pub use memory::MemoryStore;
