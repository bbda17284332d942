//! Ketenpoort: a message gateway for the probation service and its chain partners.
//!
//! A message walks one corridor, room by room:
//! [`intake`] → [`envelope`] → [`validation`] → [`facts`] → [`policy`] → [`minimisation`] → [`translation`] →
//! [`delivery`], and every exit leads over an outcome and a [`receipt`] into the [`ledger`].

pub mod authzen;
pub mod backoff;
pub mod breaker;
pub mod broker;
pub mod casetable;
pub mod catalogue;
pub mod category;
pub mod check;
pub mod cli;
pub mod code;
pub mod codetable;
pub mod config;
pub mod console;
pub mod core;
pub mod delivery;
pub mod demo;
pub mod directory;
pub mod disclosure;
pub mod disclosurelog;
pub mod envelope;
pub mod explain;
pub mod facts;
pub mod gateway;
pub mod html;
pub mod http;
pub mod httpclient;
pub mod intake;
pub mod jose;
pub mod ledger;
pub mod matrix;
pub mod minimisation;
pub mod outcome;
pub mod party;
pub mod personal;
pub mod policy;
pub mod processinglog;
#[cfg(feature = "prove")]
pub mod prove;
pub mod receipt;
pub mod record;
pub mod simulators;
pub mod telemetry;
pub mod tls;
pub mod tomlfile;
pub mod topology;

pub mod translation;
pub mod validation;
