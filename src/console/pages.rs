//! The pages, one a file; none of them is reached but through the guard.

pub mod assessments;
pub mod audit;
pub mod disclosures;
pub mod jobs;
pub mod message;
pub mod overview;
pub mod policy;
pub mod queue;
pub mod users;
