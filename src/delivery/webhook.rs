//! Webhooks: CloudEvents over HTTPS.

use super::Failure;
use super::amqp::Publication;

#[derive(Clone, Debug)]
pub struct Client {}

impl Client {
    #[allow(clippy::todo, clippy::unused_async, unused_variables)]
    pub async fn post(&self, publication: Publication, structured: bool) -> Result<(), Failure> {
        todo!()
    }
}
