//! Intake, delivery and topology against a real broker, which `deploy/broker.sh` finds or starts. Each test has a
//! vhost of its own.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod connection;
mod intake;
mod permissions;
mod publisher;
mod vhost;
