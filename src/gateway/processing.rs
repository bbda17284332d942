//! The gateway lets those who may read its log of processings, under the rules of now.

use super::Gateway;
use crate::config;
use crate::http::Processing;
use crate::processinglog::{View, answer};
use std::sync::Arc;

impl Gateway {
    /// Nobody, where no token is configured.
    pub(super) fn processing_log(self: &Arc<Self>, config: &config::ProcessingLog) -> Option<Processing> {
        let (gateway, register) = (self.clone(), config.register.clone());
        Some(Processing::new(config.token.as_ref()?, move |log, question, who| {
            let (gateway, register) = (gateway.clone(), register.clone());
            async move {
                let pipeline = gateway.pipeline();
                let view = View { pipeline: &pipeline, register: &register };
                answer::answer(&gateway.ledger, view, log, &question, &who, None).await
            }
        }))
    }
}
