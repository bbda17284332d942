//! Never lost, never doubled: a real gateway on a real broker, while whatever can break breaks. At the end the books
//! must balance.
//!
//! `KETENPOORT_KILLS=200` kills more often, `KETENPOORT_SEED` draws the same messages and moments again.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod books;
mod broker;
mod disk;
mod outage;
mod proxy;
mod recipients;
mod scene;
mod soak;
mod stop;
mod traffic;
mod webhook;
