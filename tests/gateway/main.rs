//! The whole gateway as a process of its own, on a real broker, among simulated partners, IRIS and collector.
//! What one test breaks, it breaks in a world of its own; all others share one.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod bad_input;
mod flows;
mod held;
#[path = "../signatures/keys.rs"]
mod keys;
mod leak;
mod lists;
mod log;
#[path = "../leak/marked.rs"]
mod marked;
mod messages;
mod otlp;
#[path = "../signatures/partner.rs"]
mod partner;
mod processing;
mod reload;
mod scene;
mod signatures;
mod start;
mod traces;
