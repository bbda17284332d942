//! Who sends: partners that keep at it, and a stream of their messages.

use crate::books::Sent;
use crate::scene::{LOOK, PATIENCE, Scene, Slips};
use crate::traffic::{Message, Traffic};
use ketenpoort::demo::Note;
use ketenpoort::demo::partner::Partner;
use std::collections::HashMap;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Obligations under way at once.
const WINDOW: usize = 80;

impl Scene {
    pub fn senders(&self) -> Senders {
        Senders { note: self.world.note.clone(), open: HashMap::new() }
    }

    pub fn flow(&self, rng: fastrand::Rng) -> Flow {
        let stop = CancellationToken::new();
        let flowing = flow(self.senders(), self.slips.clone(), rng, stop.clone());
        Flow { stop, flowing: tokio::spawn(flowing) }
    }
}

/// Partners that keep at it: a message of which they do not know that the broker has it is sent again.
pub struct Senders {
    note: Note,
    open: HashMap<&'static str, Partner>,
}

impl Senders {
    pub async fn send(&mut self, message: &Message) {
        let sending = async {
            while !self.try_send(message).await {
                self.open.remove(message.from);
                tokio::time::sleep(LOOK).await;
            }
        };
        timeout(PATIENCE, sending).await.unwrap_or_else(|_| panic!("the broker takes nothing from {}", message.from));
    }

    pub async fn send_all(&mut self, messages: &[Message]) {
        for message in messages {
            self.send(message).await;
        }
    }

    async fn try_send(&mut self, message: &Message) -> bool {
        if !self.open.contains_key(message.from) {
            let Ok(partner) = self.note.partner(message.from).await else { return false };
            self.open.insert(message.from, partner);
        }
        self.open[message.from].publish(&message.event).await.is_ok()
    }
}

/// Messages that keep coming, as many at once as a window has room for.
pub struct Flow {
    stop: CancellationToken,
    flowing: JoinHandle<Vec<Sent>>,
}

impl Flow {
    pub async fn stop(self) -> Vec<Sent> {
        self.stop.cancel();
        self.flowing.await.unwrap()
    }
}

async fn flow(mut senders: Senders, slips: Slips, mut rng: fastrand::Rng, stop: CancellationToken) -> Vec<Sent> {
    let mut traffic = Traffic::new(rng.fork());
    let mut sent: Vec<Message> = Vec::new();
    let mut owed = 0usize;
    while !stop.is_cancelled() {
        let room = slips.until((owed + 1).saturating_sub(WINDOW));
        if stop.run_until_cancelled(room).await.is_none() {
            break;
        }
        let earlier = (!sent.is_empty()).then(|| &sent[rng.usize(..sent.len())]);
        let message = match (rng.u8(..16), earlier) {
            (0, Some(earlier)) => {
                senders.send(earlier).await;
                continue;
            }
            // Which of the two is the first must be beyond doubt.
            (1, Some(earlier)) if earlier.from == "dji" && slips.settled(&earlier.sent) => earlier.contradicted(),
            _ => traffic.next(),
        };
        senders.send(&message).await;
        owed += message.sent.owed.len();
        sent.push(message);
    }
    sent.into_iter().map(|message| message.sent).collect()
}
