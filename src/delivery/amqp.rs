//! Publishing to queues: persistent, mandatory, confirmed; a return is matched to its own message.

use super::Failure;
use crate::personal::Personal;

/// One event to send, in binary mode.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The queue, or the URL of a webhook.
    pub to: String,
    pub body: Personal<Vec<u8>>,
    pub content_type: String,
    /// Same on every attempt.
    pub message_id: String,
    /// CloudEvents context attributes without prefix.
    pub attributes: Vec<(String, String)>,
    pub traceparent: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Publisher {}

impl Publisher {
    #[allow(clippy::todo, clippy::unused_async, unused_variables)]
    pub async fn publish(&self, publication: Publication) -> Result<(), Failure> {
        todo!()
    }
}
