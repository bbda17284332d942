//! The client of IRIS, the case system of the probation service.

use super::{CaseData, Facts, Person, Unavailable};
use crate::category::CategorySet;

#[derive(Clone, Debug)]
pub struct Client {}

#[allow(clippy::todo, clippy::unused_async, unused_variables)]
impl Client {
    pub async fn facts(&self, person: Person, traceparent: Option<&str>) -> Result<Facts, Unavailable> {
        todo!()
    }
    pub async fn case_data(
        &self,
        person: Person,
        categories: CategorySet,
        traceparent: Option<&str>,
    ) -> Result<CaseData, Unavailable> {
        todo!()
    }
}
