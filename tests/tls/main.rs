//! Transport security, with real TLS on both sides and authorities that are made for the test: who is let in, who is
//! sent to, and what a new certificate changes.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod authority;
mod broker;
mod certificates;
mod face;
mod outgoing;
mod server;
