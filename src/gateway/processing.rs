//! The gateway lets those who may read its log of processings, and ask what would be decided, under the rules of now.

use super::Gateway;
use crate::config;
use crate::http::{Evaluator, Processing};
use crate::processinglog::{View, answer};
use crate::record::Subject;
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

    /// The same; each question is on record before it is answered.
    pub(super) fn evaluator(self: &Arc<Self>, config: &config::Authzen) -> Option<Evaluator> {
        let (gateway, client) = (self.clone(), config.client.clone());
        Some(Evaluator::new(config.token.as_ref()?, move |evaluation| {
            let (gateway, client) = (gateway.clone(), client.clone());
            async move {
                let pipeline = gateway.pipeline();
                let answer = match evaluation.answer(&pipeline.engine, &pipeline.directory) {
                    Ok(answer) => answer,
                    Err(wrong) => return Ok(Err(wrong)),
                };
                let why = evaluation.record(&answer);
                gateway.ledger.note(Subject::default(), &client, "evaluate", &why).await?;
                Ok(Ok(answer))
            }
        }))
    }
}
