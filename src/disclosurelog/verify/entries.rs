//! Each entry beside the hash of its leaf, and beside every column of the record that it covers.

use super::{Finding, Walk, changed};
use crate::code::Code;
use crate::disclosurelog::Error;
use crate::disclosurelog::entry::Entry;
use crate::disclosurelog::tree::{Hash, leaf_hash};
use crate::ledger::{Logged, LoggedReceipt, PersonKey, StoredEntry};
use crate::receipt::keys;
use crate::record::{Pseudonym, Subject};
use std::collections::HashMap;

/// Positions that are told where nobody was forgotten.
const NAMELESS: usize = 10;
/// Persons without a key that are told.
const PERSONS: usize = 10_000;

impl Walk<'_> {
    /// The hashes that the entries of one tile give; none where an entry went.
    pub(super) async fn entries(&mut self, from: u64, to: u64, tile: &[Hash]) -> Result<Vec<Option<Hash>>, Error> {
        let mut entries: HashMap<u64, StoredEntry> = HashMap::new();
        for entry in self.log.entries(from, to).await? {
            entries.insert(entry.position, entry);
        }
        let records = self.log.records(from, to).await?;
        let subjects = records.values().flat_map(|record| record.subject().pseudonyms()).collect();
        let persons = self.log.person_keys(subjects).await?;
        let mut made = Vec::new();
        for (position, signed) in (from..to).zip(tile.iter().map(Some).chain(std::iter::repeat(None))) {
            let Some(entry) = entries.get(&position) else {
                self.missing(position);
                made.push(None);
                continue;
            };
            self.report.entries += 1;
            let hash = leaf_hash(entry.content.as_bytes());
            made.push(Some(hash));
            // Of one that is not what was signed nothing more can be said.
            if signed == Some(&hash) {
                self.entry(entry, records.get(&position), &persons);
            }
        }
        Ok(made)
    }

    fn missing(&mut self, position: u64) {
        if self.is_gone(position) {
            self.report.purged += 1;
            return;
        }
        let finding = changed("log_entry", "position", "the entry is gone, and no purge accounts for it");
        self.report.find(Finding { position: Some(position), ..finding });
    }

    fn entry(&mut self, stored: &StoredEntry, record: Option<&Logged>, persons: &HashMap<Pseudonym, PersonKey>) {
        let Ok(entry) = serde_json::from_str::<Entry>(&stored.content) else {
            let finding = changed("log_entry", "content", "signed, but not an entry that this version can read");
            self.tell(stored, None, finding);
            return;
        };
        let columns = [
            ("kind", stored.kind != entry.kind.as_str()),
            ("record", stored.record != entry.record),
            ("at", Some(stored.at) != entry.at()),
        ];
        let mut is_whole = true;
        for (field, _) in columns.into_iter().filter(|(_, differs)| *differs) {
            is_whole = false;
            self.tell(stored, Some(&entry), changed("log_entry", field, "not what the entry says"));
        }
        if self.is_gone(stored.position) {
            let finding = changed("log_entry", "position", "a purge says that the entry went, but it is there");
            self.tell(stored, Some(&entry), finding);
        }
        let Some(record) = record.filter(|_| is_whole) else {
            // Past its term the record goes first, and its entry in the same pass.
            if is_whole && stored.at >= self.measure.kept_since {
                let table = entry.kind.as_str();
                self.tell(stored, Some(&entry), changed(table, "key", "the record is gone"));
            }
            return;
        };
        if !self.record(stored, &entry, record) {
            return;
        }
        let numbers = said_of(&entry, record.subject());
        if numbers.iter().any(|(_, said, pseudonym)| said.is_some() && pseudonym.is_none()) {
            self.report.anonymous += 1;
            if self.nameless.len() < NAMELESS {
                self.nameless.push(stored.position);
            }
        }
        for number in numbers {
            self.person(stored, &entry, record, number, persons);
        }
    }

    /// The entry made anew out of what is there must be the same. Whether it is of the same message still.
    fn record(&mut self, stored: &StoredEntry, entry: &Entry, record: &Logged) -> bool {
        let anew = Entry::of(record, &stored.digest_key);
        let (mut fields, same_message) = match record {
            Logged::Receipt(receipt) => of_receipt(receipt, &anew, entry),
            Logged::Action(_) => (of_action(&anew, entry), true),
            Logged::Purge(_) => (of_purge(&anew, entry), true),
        };
        if anew.digest != entry.digest {
            match record {
                Logged::Receipt(receipt) => fields.push(self.of_digest(receipt)),
                Logged::Action(_) if fields.is_empty() => {
                    fields.push(("action", "who or why, or log_entry.digest_key"));
                }
                Logged::Purge(_) if fields.is_empty() => fields.push(("log_entry", "digest_key")),
                _ => {}
            }
        }
        for (table, field) in fields {
            self.tell(stored, Some(entry), changed(table, field, "not what was signed in the log"));
        }
        same_message
    }

    /// Which of both was changed; the signature of the receipt tells.
    fn of_digest(&self, receipt: &LoggedReceipt) -> (&'static str, &'static str) {
        match keys::verify(&receipt.jws, self.measure.keys) {
            Ok(said) if said.id == receipt.id => ("log_entry", "digest_key"),
            _ => ("receipt", "jws"),
        }
    }

    fn person(
        &mut self,
        stored: &StoredEntry,
        entry: &Entry,
        record: &Logged,
        (field, said, pseudonym): (&'static str, Option<&String>, Option<Pseudonym>),
        persons: &HashMap<Pseudonym, PersonKey>,
    ) {
        let table = if matches!(record, Logged::Action(_)) { "action" } else { "message" };
        let Some(pseudonym) = pseudonym else {
            return;
        };
        let Some(said) = said else {
            self.tell(stored, Some(entry), changed(table, field, "the entry is about nobody with such a number"));
            return;
        };
        match persons.get(&pseudonym).map(|key| self.measure.ledger.open_person_key(key)) {
            Some(Ok(key)) if entry.person(&key, pseudonym) == *said => {}
            Some(Ok(_)) => self.tell(stored, Some(entry), changed(table, field, "another person than in the entry")),
            // Told once, of the key itself.
            Some(Err(_)) => {}
            None if stored.at < self.measure.kept_since => {}
            // Once for each person, at the first entry.
            None if self.unknown.len() >= PERSONS || !self.unknown.insert(pseudonym) => {}
            None => {
                let detail = "another person than in the entry, or the row of this one in person_key is gone";
                self.tell(stored, Some(entry), changed(table, field, detail));
            }
        }
    }

    fn tell(&mut self, stored: &StoredEntry, entry: Option<&Entry>, finding: Finding) {
        let record = entry.and_then(|entry| entry.receipt.clone()).unwrap_or_else(|| stored.record.to_string());
        let code = Code::LogChanged;
        self.report.find(Finding { code, position: Some(stored.position), record: Some(record), ..finding });
    }
}

type Fields = Vec<(&'static str, &'static str)>;

fn differing<const N: usize>(fields: [(bool, &'static str, &'static str); N]) -> Fields {
    fields.into_iter().filter(|(differs, ..)| *differs).map(|(_, table, field)| (table, field)).collect()
}

/// What is joined to something else says nothing more.
fn of_receipt(receipt: &LoggedReceipt, anew: &Entry, entry: &Entry) -> (Fields, bool) {
    let joins = [
        (anew.delivery != entry.delivery, "receipt", "delivery"),
        (anew.outcome.is_none() && entry.outcome.is_some(), "delivery", "key"),
        (anew.sender.is_none() && entry.sender.is_some(), "message", "key, or delivery.message"),
        (!receipt.belongs, "delivery", "message, or message.first_delivery or last_delivery"),
    ];
    let mut fields = differing([(anew.receipt != entry.receipt, "receipt", "id")]);
    if let Some((_, table, field)) = joins.into_iter().find(|(differs, ..)| *differs) {
        fields.push((table, field));
        return (fields, false);
    }
    fields.extend(differing([
        (anew.outcome != entry.outcome, "delivery", "outcome"),
        (anew.recipient != entry.recipient, "delivery", "recipient"),
        (anew.role != entry.role, "delivery", "role"),
        (anew.r#type != entry.r#type, "message", "kind"),
        (anew.sender != entry.sender, "message", "sender"),
        (anew.policy_version != entry.policy_version, "message", "policy_version"),
        (anew.mapping_version != entry.mapping_version, "message", "mapping_version"),
    ]));
    (fields, true)
}

fn of_action(anew: &Entry, entry: &Entry) -> Fields {
    differing([
        (anew.delivery != entry.delivery, "action", "delivery"),
        (anew.what != entry.what, "action", "what"),
        (anew.time != entry.time, "action", "at"),
    ])
}

fn of_purge(anew: &Entry, entry: &Entry) -> Fields {
    differing([
        (anew.what != entry.what, "purge", "what"),
        (anew.before != entry.before, "purge", "before"),
        (anew.time != entry.time, "purge", "at"),
        (anew.count != entry.count, "purge", "count"),
        (anew.entries != entry.entries, "purge", "entries"),
    ])
}

fn said_of(entry: &Entry, subject: Subject) -> [(&'static str, Option<&String>, Option<Pseudonym>); 2] {
    [("subject_bsn", entry.person_bsn.as_ref(), subject.bsn), ("subject_skn", entry.person_skn.as_ref(), subject.skn)]
}
