//! Never lost, never doubled: a real gateway on a real broker, while whatever can break breaks. At the end the books
//! must balance.
//!
//! `KETENPOORT_SEED` draws the same messages and moments again, `KETENPOORT_SOAK_ONLY=cut` only the faults of the soak in
//! whose name that stands; `tests/soak.sh` breaks things for longer.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod books;
mod broker;
mod disk;
mod flow;
mod nodes;
mod outage;
mod proxy;
mod recipients;
mod scene;
mod soak;
mod stop;
mod traffic;
mod webhook;
