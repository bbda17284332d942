//! The books: what the partners sent and what that makes owed, against what arrived at the recipients and what the
//! receipts say. Nothing here asks the gateway.

use ketenpoort::outcome::Outcome;
use ketenpoort::receipt::Receipt;
use ketenpoort::record::keeper;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

/// What one message owes, to whom it goes and how that may end. Without a recipient: the message is rejected.
#[derive(Clone, Debug)]
pub struct Owed {
    /// Of a list, its place in it.
    pub item: Option<usize>,
    pub recipient: Option<String>,
    pub outcomes: &'static [Outcome],
}

/// A message that the broker took from a partner, however often.
#[derive(Clone, Debug)]
pub struct Sent {
    pub id: String,
    pub digest: String,
    /// A series, and the place in it.
    pub series: Option<(String, i64)>,
    pub owed: Vec<Owed>,
}

/// An attempt that reached a recipient.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub recipient: String,
    /// The id of the message that it answers to.
    pub message: String,
    pub key: String,
    pub digest: String,
    pub taken: bool,
    /// The recipient said that it has nothing of it.
    pub refused: bool,
}

/// A receipt as its sender got it.
#[derive(Clone, Debug)]
pub struct Slip {
    pub receipt: Receipt,
    pub text: String,
}

/// Message id, digest and recipient.
pub type Obligation = (String, String, Option<String>);

#[derive(Debug, Default)]
pub struct Books {
    pub sent: Vec<Sent>,
    /// Per recipient in the order in which they arrived.
    pub arrivals: Vec<Arrival>,
    pub slips: Vec<Slip>,
    /// What the gateway says still waits.
    pub waiting: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Tally {
    pub sent: usize,
    pub obligations: usize,
    pub delivered: usize,
    /// Arrivals after the first.
    pub repeated: usize,
    /// With those that were sent again.
    pub receipts: usize,
    /// Neither with a recipient nor ended otherwise.
    pub lost: usize,
    /// Arrived under more than one key.
    pub doubled: usize,
    /// Arrivals and receipts that nobody is owed.
    pub unknown: usize,
    /// Obligations without a receipt, and with several.
    pub missing: usize,
    pub different: usize,
    pub outcomes: BTreeMap<&'static str, usize>,
    pub wrong: Vec<String>,
}

impl Sent {
    pub fn obligations(&self) -> impl Iterator<Item = Obligation> {
        self.owed.iter().map(|owed| {
            let id = owed.item.map_or_else(|| self.id.clone(), |item| format!("{}#{item}", self.id));
            (id, self.digest.clone(), owed.recipient.clone())
        })
    }
}

impl Owed {
    pub fn to(recipient: &str, outcomes: &'static [Outcome]) -> Owed {
        Owed { item: None, recipient: Some(recipient.to_owned()), outcomes }
    }

    pub fn rejected() -> Owed {
        Owed { item: None, recipient: None, outcomes: &[Outcome::Rejected] }
    }

    /// It stays with the gateway.
    fn is_kept(&self) -> bool {
        self.recipient.as_deref() == Some(keeper().0.as_str())
    }
}

impl Slip {
    pub fn obligation(&self) -> Obligation {
        let message = &self.receipt.message;
        let recipient = self.receipt.recipient.as_ref().map(|recipient| recipient.party.to_string());
        (message.id.clone().unwrap_or_default(), message.digest.clone(), recipient)
    }

    /// Superseded before IRIS told whether the probation service is a recipient at all.
    fn is_surmised(&self) -> bool {
        let Receipt { outcome, recipient, .. } = &self.receipt;
        *outcome == Outcome::Superseded && recipient.as_ref().is_some_and(|to| to.party.as_str() == "reclassering")
    }
}

impl Books {
    pub fn balance(&self) -> Tally {
        let mut tally = Tally { sent: self.sent.len(), receipts: self.slips.len(), ..Tally::default() };
        let mut slips: HashMap<Obligation, Vec<&Slip>> = HashMap::new();
        self.slips.iter().for_each(|slip| slips.entry(slip.obligation()).or_default().push(slip));
        let mut arrivals: HashMap<(String, &str), Vec<&Arrival>> = HashMap::new();
        for arrival in &self.arrivals {
            arrivals.entry((arrival.message.clone(), &arrival.recipient)).or_default().push(arrival);
        }
        for sent in &self.sent {
            for (owed, obligation) in sent.owed.iter().zip(sent.obligations()) {
                let slips = slips.remove(&obligation).unwrap_or_default();
                let recipient = owed.recipient.as_deref().unwrap_or_default();
                let arrived = arrivals.remove(&(obligation.0.clone(), recipient)).unwrap_or_default();
                tally.settle(&obligation.0, owed, &slips, &arrived);
            }
        }
        slips.retain(|_, slips| !slips.iter().all(|slip| slip.is_surmised()));
        tally.unknown = slips.len() + arrivals.len();
        let nobody = slips.keys().map(|obligation| format!("a receipt for what nobody is owed: {obligation:?}"));
        tally.wrong.extend(nobody);
        let nobody = arrivals.keys().map(|(message, recipient)| format!("{recipient} got {message}, not meant for it"));
        tally.wrong.extend(nobody);
        tally.wrong.extend(self.waiting.iter().map(|waiting| format!("waits: {waiting}")));
        tally.wrong.extend(self.overtaken());
        tally
    }

    /// At no recipient did an older notification of a series arrive after a newer one.
    fn overtaken(&self) -> Vec<String> {
        let places: HashMap<&str, &(String, i64)> =
            self.sent.iter().filter_map(|sent| Some((sent.id.as_str(), sent.series.as_ref()?))).collect();
        let mut highest: HashMap<(&str, &str), i64> = HashMap::new();
        let mut wrong = Vec::new();
        for arrival in &self.arrivals {
            let Some((series, place)) = places.get(arrival.message.as_str()) else { continue };
            let highest = highest.entry((&arrival.recipient, series)).or_insert(*place);
            if *highest > *place {
                let Arrival { recipient, message, .. } = arrival;
                wrong.push(format!("{recipient} got {message}, {place} of {series}, after {highest} of it"));
            }
            *highest = (*highest).max(*place);
        }
        wrong
    }
}

impl Tally {
    fn settle(&mut self, id: &str, owed: &Owed, slips: &[&Slip], arrived: &[&Arrival]) {
        self.obligations += 1;
        self.repeated += arrived.len().saturating_sub(1);
        let mut complain = |what: String| {
            self.wrong.push(format!("{id} for {}: {what}", owed.recipient.as_deref().unwrap_or("nobody")));
        };
        let keys: BTreeSet<&str> = arrived.iter().map(|arrival| arrival.key.as_str()).collect();
        if keys.len() > 1 {
            complain(format!("arrived under {} keys", keys.len()));
            self.doubled += 1;
        }
        let texts: BTreeSet<&str> = slips.iter().map(|slip| slip.text.as_str()).collect();
        if texts.len() > 1 {
            complain(format!("{} different receipts", texts.len()));
            self.different += 1;
        }
        let Some(Slip { receipt, .. }) = slips.first() else {
            complain("no receipt".to_owned());
            self.missing += 1;
            self.lost += usize::from(!arrived.iter().any(|arrival| arrival.taken));
            return;
        };
        let outcome = receipt.outcome;
        *self.outcomes.entry(outcome.as_str()).or_default() += 1;
        if !owed.outcomes.contains(&outcome) {
            complain(format!("ended as {} and not as {:?}", outcome.as_str(), owed.outcomes));
        }
        match outcome {
            Outcome::Delivered => {
                self.delivered += 1;
                if !owed.is_kept() && !arrived.iter().any(|arrival| arrival.taken) {
                    complain("delivered, says the receipt, and it did not arrive".to_owned());
                    self.lost += 1;
                }
                if arrived.iter().any(|arrival| Some(&arrival.digest) != receipt.forwarded_digest.as_ref()) {
                    complain("other bytes arrived than the receipt says".to_owned());
                }
            }
            // It went out before the newer one came or a person gave it up, and nobody heard anything good of that.
            Outcome::Superseded | Outcome::Expired => {
                if arrived.iter().all(|arrival| arrival.refused) {
                    return;
                }
                let detail = receipt.reason.as_ref().map_or("", |reason| &reason.detail);
                if outcome == Outcome::Superseded && !detail.contains("may have reached the recipient") {
                    complain(format!(
                        "it arrived, and the reason does not say that it may have: {detail}; {arrived:?}"
                    ));
                }
                if receipt.decision.shared.is_empty() || receipt.decision.notes.is_empty() {
                    complain("it arrived, and the receipt says that nothing was shared".to_owned());
                }
            }
            _ if arrived.is_empty() => {}
            _ => complain(format!("it arrived, although it was {}", outcome.as_str())),
        }
    }

    pub fn assert_balanced(&self) {
        println!("{self}");
        assert!(self.wrong.is_empty(), "the books do not balance:\n  {}\n{self}", self.wrong.join("\n  "));
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { sent, obligations, delivered, repeated, receipts, outcomes, .. } = self;
        let Tally { lost, doubled, unknown, missing, different, .. } = self;
        write!(
            f,
            "sent {sent}, obligations {obligations}, delivered {delivered}, repeated {repeated}, receipts {receipts}; \
             ended as {outcomes:?}\n\
             lost {lost}, doubled {doubled}, unknown {unknown}, receipts missing {missing}, receipts different {different}"
        )
    }
}
