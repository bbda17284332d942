//! Ketenpoort: a message gateway for the probation service and its chain partners.
//!
//! A message walks one corridor, room by room:
//! [`intake`] → [`envelope`] → [`validation`] → [`facts`] → [`policy`] → [`minimisation`] → [`translation`] →
//! [`delivery`], and every exit leads over an outcome and a [`receipt`] into the [`ledger`].

pub mod category;
pub mod code;
pub mod envelope;
pub mod facts;
pub mod ledger;
pub mod outcome;
pub mod party;
pub mod personal;
pub mod receipt;
