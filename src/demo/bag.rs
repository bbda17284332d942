//! The bag: the messages that the demo sends, how each must end, and how each did end, as the partners see it.

use super::partner::{Event, Inbox, Partner, Received};
use super::process::Program;
use super::{Error, World, dates};
use crate::category::Category;
use crate::code::Code;
use crate::outcome::{Outcome, Reason};
use crate::party::{PartyId, Role};
use crate::personal::Personal;
use crate::receipt::keys::KeySet;
use crate::receipt::{Decision, Receipt};
use crate::record;
use crate::simulators::recipient::{self, Behaviour, Recipient};
use axum::http::StatusCode;
use jiff::{Timestamp, civil::Date};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// An event that does not come is a failure after this long.
const WITHIN: Duration = Duration::from_secs(20);
/// After the gateway has stopped nothing can come any more: what was sent too much is there by then.
const LEFT_OVER: Duration = Duration::from_millis(200);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    pub title: String,
    pub id: String,
    pub from: PartyId,
    pub r#type: String,
    #[serde(default)]
    pub sequence: Option<i64>,
    pub file: String,
    /// The recipient's webhook does not take it the first time.
    #[serde(default)]
    pub fails_once: bool,
    /// The very same receipts come again, and nothing else.
    #[serde(default)]
    pub repeated: bool,
    #[serde(default)]
    pub expect: Vec<Expect>,
    #[serde(skip)]
    pub data: Vec<u8>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Absent for a message that is rejected as a whole.
    #[serde(default)]
    recipient: Option<PartyId>,
    /// Of a list: the items of it for which this holds. Without them it is about the message itself.
    #[serde(default)]
    items: BTreeSet<usize>,
    outcome: Outcome,
    #[serde(default)]
    code: Option<Code>,
    #[serde(default)]
    shared: Option<BTreeSet<Category>>,
}

/// Reads `messages.yaml`, and `messages/` beside it, with the days in them counted from today.
pub fn read(file: &Path, today: Date) -> Result<Vec<Item>, Error> {
    let wrong = |error: &dyn std::fmt::Display| Error::File(file.to_owned(), error.to_string());
    let text = std::fs::read_to_string(file).map_err(|e| wrong(&e))?;
    let mut items: Vec<Item> = serde_saphyr::from_str(&text).map_err(|e| wrong(&e))?;
    for item in &mut items {
        let path = file.with_file_name("messages").join(&item.file);
        let wrong = |hint: &dyn std::fmt::Display| Error::File(path.clone(), hint.to_string());
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(&error))?;
        let dated = dates::fill_in(&text, today).ok_or_else(|| wrong(&"has a day that is none: write {today+30d}"))?;
        item.data = dated.into_bytes();
    }
    Ok(items)
}

impl Item {
    fn event(&self) -> Event {
        Event { id: self.id.clone(), sequence: self.sequence, ..Event::new(&self.r#type, self.data.clone()) }
    }
}

/// How a message ended for one recipient, or as what it waits.
#[derive(Clone, Debug)]
pub struct End {
    pub recipient: Option<(PartyId, Role)>,
    /// Where it is about an item of a list.
    pub item: Option<usize>,
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    /// When what is held is decided anew.
    pub until: Option<Timestamp>,
    pub decision: Decision,
    pub trace_id: Option<String>,
    /// Only what ended has a receipt.
    pub receipt: Option<PathBuf>,
    pub got: Option<Got>,
}

/// What a recipient took.
#[derive(Clone, Debug)]
pub struct Got {
    pub way: &'static str,
    pub content_type: String,
    pub data: Personal<Vec<u8>>,
}

/// What became of one item, and whatever of it is not as expected.
#[derive(Debug, Default)]
pub struct Told {
    pub ends: Vec<End>,
    pub surprises: Vec<String>,
}

/// A row of `ketenpoort parked list --json`.
#[derive(Deserialize)]
struct Waiting {
    id: String,
    recipient: Option<PartyId>,
    role: Option<Role>,
    outcome: Outcome,
    reason: Option<Reason>,
    again_at: Option<Timestamp>,
    decision: Decision,
    trace_id: Option<String>,
}

/// Of one message, what waits: as an operator sees it, for only the ledger knows.
pub async fn waiting(gateway: &Program, id: &str) -> Result<Vec<End>, Error> {
    let rows: Vec<Waiting> = gateway.ask(&["parked", "list"]).await?;
    Ok(rows.into_iter().filter(|row| row.id == id).map(End::from).collect())
}

/// All partners at once, sending and receiving.
#[derive(Debug)]
pub struct Partners {
    gateway: Program,
    webhooks: Recipient,
    keys: KeySet,
    receipts_folder: PathBuf,
    all: BTreeMap<PartyId, Partner>,
    inboxes: BTreeMap<PartyId, Inbox>,
    receipts: BTreeMap<PartyId, Inbox>,
    /// What a queue gave before it was asked for: the answers about a list come in any order.
    early: Vec<(PartyId, Received)>,
    /// The texts of the receipts so far, per message id.
    known: BTreeMap<String, BTreeSet<String>>,
    taken_by_webhooks: usize,
}

impl Partners {
    pub async fn connect(world: &World) -> Result<Partners, Error> {
        let receipts_folder = world.home.join("receipts");
        std::fs::create_dir_all(&receipts_folder)?;
        let keys = world.note.keys().await?;
        std::fs::write(world.home.join("jwks.json"), serde_json::to_vec(&keys).unwrap_or_default())?;
        let (mut all, mut inboxes, mut receipts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (id, access) in &world.note.partners {
            let partner = Partner::connect(access.clone()).await?;
            if access.out.is_some() {
                inboxes.insert(id.clone(), partner.inbox().await?);
            }
            receipts.insert(id.clone(), partner.receipts().await?);
            all.insert(id.clone(), partner);
        }
        Ok(Partners {
            gateway: world.program.clone(),
            webhooks: world.webhooks.clone(),
            keys,
            receipts_folder,
            all,
            inboxes,
            receipts,
            early: Vec::new(),
            known: BTreeMap::new(),
            taken_by_webhooks: 0,
        })
    }

    /// Sends one message and waits until it has ended for everybody, or waits visibly.
    pub async fn send(&mut self, item: &Item) -> Result<Told, Error> {
        if item.fails_once {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            self.webhooks.behave(Behaviour::Answer { status, retry_after: None }, Some(1));
        }
        let sender = self.all.get(&item.from).ok_or_else(|| Error::NoParty(item.from.to_string()))?;
        sender.publish(&item.event()).await?;
        let mut told = Told::default();
        if item.repeated {
            self.again(item, &mut told).await?
        } else {
            self.ends(item, &mut told).await?
        }
        if item.fails_once && self.failed_attempts().await? == 0 {
            told.surprises.push("the first attempt did not fail".to_owned());
        }
        Ok(told)
    }

    async fn ends(&mut self, item: &Item, told: &mut Told) -> Result<(), Error> {
        let (ends, waits): (Vec<_>, Vec<_>) = item.expect.iter().partition(|expect| expect.outcome.is_final());
        for _ in 0..ends.iter().map(|expect| expect.items.len().max(1)).sum() {
            let (receipt, jws) = self.next_receipt(item).await?;
            self.known.entry(item.id.clone()).or_default().insert(jws.clone());
            let file = self.receipts_folder.join(format!("{}.jws", receipt.id));
            std::fs::write(&file, &jws)?;
            let about = receipt.message.id.clone().unwrap_or_default();
            let mut end = End::of(receipt, Some(file));
            if let (Outcome::Delivered, Some((party, _))) = (end.outcome, end.recipient.clone())
                && party != record::keeper().0
            {
                end.got = Some(self.got(&party, &about).await?);
            }
            told.ends.push(end);
        }
        if !waits.is_empty() {
            told.ends.extend(self.waiting(item, waits.len()).await?);
        }
        let place = |end: &End| item.expect.iter().position(|expect| expect.is_about(end));
        told.ends.sort_by_key(|end| (place(end).unwrap_or(usize::MAX), end.item));
        for end in &told.ends {
            let expect = item.expect.iter().find(|expect| expect.is_about(end));
            let unexpected = || Some("nothing was expected for this recipient".to_owned());
            told.surprises.extend(expect.map_or_else(unexpected, |expect| expect.surprise(end)));
        }
        Ok(())
    }

    /// The receipts that there were, byte for byte.
    async fn again(&mut self, item: &Item, told: &mut Told) -> Result<(), Error> {
        let before = self.known.get(&item.id).cloned().unwrap_or_default();
        let mut again = BTreeSet::new();
        for _ in &before {
            again.insert(self.next_receipt(item).await?.1);
        }
        if again != before || before.is_empty() {
            told.surprises.push("the receipts are not those that came the first time".to_owned());
        }
        Ok(())
    }

    async fn next_receipt(&mut self, item: &Item) -> Result<(Receipt, String), Error> {
        let receipts = self.receipts.get_mut(&item.from).ok_or_else(|| Error::NoParty(item.from.to_string()))?;
        receipts.next(WITHIN).await?.receipt(&self.keys)
    }

    /// At webhooks, since the gateway was started.
    async fn failed_attempts(&self) -> Result<usize, Error> {
        let metrics = reqwest::get(format!("{}/metrics", self.gateway.http)).await?.text().await?;
        let name = r#"ketenpoort_delivery_attempts_total{result="failed",way="webhook"}"#;
        let count = metrics.lines().find_map(|line| line.strip_prefix(name));
        Ok(count.and_then(|count| count.trim().parse().ok()).unwrap_or(0))
    }

    /// What a recipient took of this message, by its queue or by its webhook.
    async fn got(&mut self, party: &PartyId, id: &str) -> Result<Got, Error> {
        if let Some(inbox) = self.inboxes.get_mut(party) {
            let is_it = |received: &Received| received.attribute("correlationid") == Some(id);
            let came = self.early.iter().position(|(whose, received)| whose == party && is_it(received));
            if let Some(place) = came {
                return Ok(Got::from_queue(&self.early.swap_remove(place).1));
            }
            loop {
                let received = inbox.next(WITHIN).await?;
                if is_it(&received) {
                    return Ok(Got::from_queue(&received));
                }
                self.early.push((party.clone(), received));
            }
        }
        self.taken_by_webhooks += 1;
        let nothing = |_| Error::Nothing { on: format!("the webhook of {party}"), within: WITHIN };
        let all = self.webhooks.received_at_least(self.taken_by_webhooks);
        let all = tokio::time::timeout(WITHIN, all).await.map_err(nothing)?;
        let ours =
            all.iter().rev().find(|event| event.attributes.get("correlationid").is_some_and(|about| about == id));
        ours.map(Got::from_webhook).ok_or_else(|| Error::Nothing { on: party.to_string(), within: WITHIN })
    }

    /// What has not ended; nobody is told of it, so this asks until it is there.
    async fn waiting(&self, item: &Item, count: usize) -> Result<Vec<End>, Error> {
        let started = Instant::now();
        loop {
            let ends = waiting(&self.gateway, &item.id).await?;
            if ends.len() >= count {
                return Ok(ends);
            }
            if started.elapsed() > WITHIN {
                return Err(Error::Nothing { on: "parked list".to_owned(), within: WITHIN });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Leaves the receipts to whoever sends a message next, and keeps taking what recipients get.
    pub fn into_inboxes(self) -> BTreeMap<PartyId, Inbox> {
        self.inboxes
    }

    /// What recipients got beyond what was expected. Right only once the gateway has stopped.
    pub async fn left_over(&mut self) -> Vec<String> {
        let queues = self.inboxes.iter_mut().map(|(party, inbox)| async move {
            inbox.next(LEFT_OVER).await.is_ok().then(|| format!("{party} got a message too many"))
        });
        let mut surprises: Vec<_> = futures_util::future::join_all(queues).await.into_iter().flatten().collect();
        surprises
            .extend(self.early.iter().map(|(party, _)| format!("{party} got a message of which it has no receipt")));
        let webhooks = self.webhooks.received();
        if webhooks.len() != self.taken_by_webhooks || webhooks.iter().any(|event| event.offered > 1) {
            surprises.push("a webhook got a message too many".to_owned());
        }
        surprises
    }
}

impl Expect {
    fn is_about(&self, end: &End) -> bool {
        let of_item = end.item.map_or(self.items.is_empty(), |item| self.items.contains(&item));
        of_item && self.recipient.as_ref() == end.recipient.as_ref().map(|(party, _)| party)
    }

    fn surprise(&self, end: &End) -> Option<String> {
        if end.outcome != self.outcome {
            return Some(format!("expected {}, not {}", self.outcome.as_str(), end.outcome.as_str()));
        }
        let code = end.reason.as_ref().map(|reason| reason.code);
        if self.code.is_some() && code != self.code {
            return Some(format!("expected another reason than {code:?}"));
        }
        let shared: BTreeSet<Category> = end.decision.shared.iter().map(|shared| shared.category).collect();
        let other = self.shared.as_ref().is_some_and(|expected| *expected != shared);
        other.then(|| "expected other categories to be shared".to_owned())
    }
}

impl End {
    /// In everything but who it is about.
    pub fn is_like(&self, other: &End) -> bool {
        let size = |end: &End| end.got.as_ref().map(|got| got.data.reveal_personal_data().len());
        (self.outcome, &self.reason, &self.decision, size(self))
            == (other.outcome, &other.reason, &other.decision, size(other))
    }

    pub fn of(receipt: Receipt, file: Option<PathBuf>) -> End {
        let item = receipt.message.id.as_deref().and_then(|id| id.rsplit_once('#')?.1.parse().ok());
        End {
            recipient: receipt.recipient.map(|recipient| (recipient.party, recipient.role)),
            item,
            outcome: receipt.outcome,
            reason: receipt.reason,
            until: None,
            decision: receipt.decision,
            trace_id: receipt.trace_id,
            receipt: file,
            got: None,
        }
    }
}

impl From<Waiting> for End {
    fn from(row: Waiting) -> End {
        End {
            recipient: row.recipient.zip(row.role),
            item: None,
            outcome: row.outcome,
            reason: row.reason,
            until: row.again_at.filter(|_| row.outcome == Outcome::Held),
            decision: row.decision,
            trace_id: row.trace_id,
            receipt: None,
            got: None,
        }
    }
}

impl Got {
    pub fn from_queue(received: &Received) -> Got {
        Got { way: "queue", content_type: received.content_type().to_owned(), data: received.body.clone() }
    }

    pub fn from_webhook(event: &recipient::Received) -> Got {
        let content_type = event.attributes.get("datacontenttype").cloned().unwrap_or_default();
        let way = if event.structured { "webhook (structured)" } else { "webhook (binary)" };
        Got { way, content_type, data: event.data.clone() }
    }
}
