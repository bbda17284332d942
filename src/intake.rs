//! Intake: consumers on the partners' queues. Takes bytes off the broker and believes nothing about them.

use crate::envelope::RawMessage;

/// A message off a queue, to be acknowledged once it is safe.
#[derive(Debug)]
pub struct Inbound {
    pub queue: String,
    pub raw: RawMessage,
    pub acker: Acker,
}

/// Ends the broker's responsibility for one message, once.
#[derive(Debug)]
pub struct Acker {}

#[allow(clippy::unused_async, clippy::todo)]
impl Acker {
    /// It is safe with us.
    pub async fn ack(self) {
        todo!()
    }
    /// It is not: the broker gives it again. Only when stopping or when nothing could be recorded.
    pub async fn release(self) {
        todo!()
    }
}
