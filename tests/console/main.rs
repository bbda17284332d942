//! The console of a real gateway: who gets in and who does not, over HTTP and in a real browser.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod access;
mod browser;
#[path = "../gateway/messages.rs"]
#[expect(dead_code, reason = "other tests send more")]
mod messages;
mod oidc;
mod provider;
mod stage;
mod visitor;
