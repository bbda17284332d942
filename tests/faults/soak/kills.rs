//! Where a message is when the gateway is killed: known from outside, by what stands still there.

use super::Soak;
use crate::disk::room;
use crate::proxy::Stop;
use crate::scene::until;
use crate::traffic::list;
use crate::webhook::{Answer, Attempt};
use ketenpoort::simulators::iris::Behaviour;
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::timeout;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// At any moment.
    Random,
    /// After some receipts more.
    Receipts,
    /// Some way into its start.
    Starting,
    At(Stop),
    /// IRIS is asked who somebody is: envelope and schema were found good.
    Facts,
    /// And permitted, and IRIS is asked for the data.
    CaseData,
    /// Part of a list is recorded.
    Splitting,
    /// A webhook has it, and nobody heard.
    Unheard,
    /// A webhook said that it has it, and that cannot be recorded.
    Unrecorded,
    /// It waits in the ledger for its recipient to be well.
    Waiting,
    /// It was taken up from there, and is with the recipient.
    TakenUp,
}

pub const STAGES: [Stage; 12] = [
    Stage::At(Stop::HalfDelivery),
    Stage::Facts,
    Stage::CaseData,
    Stage::At(Stop::Ack),
    Stage::Splitting,
    Stage::At(Stop::HalfPublish("ketenpoort.out")),
    Stage::At(Stop::Confirm("ketenpoort.out")),
    Stage::Unheard,
    Stage::Unrecorded,
    Stage::Waiting,
    Stage::TakenUp,
    Stage::At(Stop::HalfPublish("ketenpoort.receipts")),
];

/// Its webhook fails only on command.
const HEALTHY: &str = "/gemeente-0505";
/// For ever, as far as the gateway can tell.
const SILENT: u64 = 600_000;

impl Stage {
    pub fn name(self) -> String {
        match self {
            Stage::Random => "at any moment",
            Stage::Receipts => "after some receipts",
            Stage::Starting => "while it starts",
            Stage::At(stop) => return stop.name().to_owned(),
            Stage::Facts => "valid, IRIS asked for facts",
            Stage::CaseData => "permitted, IRIS asked for data",
            Stage::Splitting => "a list half split",
            Stage::Unheard => "with the webhook, not answered",
            Stage::Unrecorded => "with the webhook, not recorded",
            Stage::Waiting => "due in the outbox",
            Stage::TakenUp => "taken up from the outbox",
        }
        .to_owned()
    }
}

impl Soak {
    pub(super) async fn kill(&mut self, stage: Stage) {
        self.reach(stage).await;
        self.scene.world.kill_gateway().await.unwrap();
        self.undo();
        if stage == Stage::Starting {
            let millis = Duration::from_millis(self.rng.u64(..2000));
            // Dropped, it is killed.
            timeout(millis, self.scene.world.start_gateway()).await.unwrap_or(Ok(())).unwrap();
            let _ = self.scene.world.kill_gateway().await;
        }
        self.scene.world.start_gateway().await.unwrap();
    }

    /// Whatever stood still may go on, and everybody is well.
    fn undo(&self) {
        self.proxy().cut();
        self.proxy().go_on();
        self.scene.webhook.plan(HEALTHY, &[], Answer::Take);
        self.scene.webhook.let_go(false);
        self.scene.world.iris.behave(Behaviour::Normal);
    }

    /// Returns when a message is there.
    async fn reach(&mut self, stage: Stage) {
        let scene = &self.scene;
        let (iris, webhook, slips) = (&scene.world.iris, &scene.webhook, &scene.slips);
        let before = webhook.attempts().len();
        match stage {
            Stage::Random => tokio::time::sleep(Duration::from_millis(self.rng.u64(..500))).await,
            Stage::Receipts => slips.until(slips.count() + self.rng.usize(1..30)).await,
            Stage::Starting => {}
            Stage::At(stop) => {
                self.proxy().stop_at(stop);
                self.proxy().caught().await;
            }
            Stage::Facts => {
                let asked = iris.seen().facts_requests;
                iris.behave(Behaviour::Slow { millis: SILENT });
                until("IRIS is asked", async || (iris.seen().facts_requests > asked).then_some(())).await;
            }
            Stage::CaseData => {
                let asked = iris.seen().data_requests;
                iris.behave(Behaviour::SlowData { millis: SILENT });
                until("IRIS is asked for data", async || (iris.seen().data_requests > asked).then_some(())).await;
            }
            Stage::Splitting => {
                let list = list(&format!("IL-{}", self.rng.u32(..)), 200);
                let first = format!("{}#1", list.event.id);
                self.send(&list).await;
                let slips = &self.scene.slips;
                // It is wrong, and told at once.
                until("a list is split", async || (!slips.of(&first).is_empty()).then_some(())).await;
            }
            Stage::Unheard => {
                webhook.plan(HEALTHY, &[Answer::Lost], Answer::Take);
                webhook.until(|all| answered(&all[before..], Answer::Lost)).await;
            }
            Stage::Unrecorded => {
                webhook.plan(HEALTHY, &[Answer::Late], Answer::Take);
                webhook.until(|all| answered(&all[before..], Answer::Late)).await;
                room(scene, "0").await;
                webhook.let_go(true);
                scene.until_part("ledger", "down").await;
            }
            Stage::Waiting => {
                webhook.plan(HEALTHY, &[], Answer::Status(503));
                let waits = async || scene.waiting().await.into_iter().find(|row| row["recipient"] == "gemeente:0505");
                until("one waits for the webhook", waits).await;
            }
            Stage::TakenUp => {
                webhook.plan(HEALTHY, &[Answer::Status(500)], Answer::Lost);
                webhook.until(|all| again(&all[before..])).await;
            }
        }
    }
}

fn answered(attempts: &[Attempt], answer: Answer) -> bool {
    attempts.iter().any(|attempt| attempt.answer == answer)
}

/// One that was turned away was offered once more.
fn again(attempts: &[Attempt]) -> bool {
    let is_ours = |attempt: &&Attempt| attempt.path == HEALTHY;
    let mut keys = HashSet::new();
    attempts.iter().filter(is_ours).any(|attempt| !keys.insert(&attempt.key) && attempt.answer == Answer::Lost)
}
