//! The whole gateway as a process of its own, on a real broker, among simulated partners, IRIS and collector.
//! What one test breaks, it breaks in a world of its own; all others share one.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod bad_input;
mod flows;
mod held;
mod leak;
mod lists;
mod log;
#[path = "../leak/marked.rs"]
mod marked;
mod messages;
mod otlp;
mod reload;
mod scene;
mod start;
mod traces;
