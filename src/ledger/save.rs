//! Writes what [`Work`] became, each table in as few statements as there are rows for. No rules in here.

use super::Outgoing;
use super::command::Accept;
use super::rows::{Statement, Values, execute_together, put_one, put_subject};
use super::seal::{Keys, Place};
use super::store::Connection;
use super::stored::Result;
use super::work::{Action, DeliveryRow, MessageRow, Pending, RecordRow, Row, Work, Written};
use crate::outcome::Outcome;
use crate::party::{PartyId, Role};
use crate::personal::Personal;
use crate::receipt::SignedReceipt;

static NEW_MESSAGE: Statement = Statement {
    head: "INSERT INTO message (key, identity, source, id, digest, conflict, kind, sender, received_at, traceparent, \
           caller, series, sequence, subject_bsn, subject_skn, message_ref, policy_version, mapping_version, first_delivery, \
           last_delivery, keeps_raw) SELECT * FROM",
    columns: 21,
    tail: GIVEN,
};
static NEW_RAW: Statement =
    Statement { head: "INSERT INTO raw (message, content) SELECT * FROM", columns: 2, tail: GIVEN };
static NEW_DELIVERY: Statement = Statement {
    head: "INSERT INTO delivery (key, message, idempotency_key, recipient, role, volatile, outcome, reason, attempts, \
           due_at, waits, holder, tried, ending, changed_at, finished_at, series, receipted, receipt_at, receipt_attempts) \
           SELECT * FROM",
    columns: 20,
    tail: GIVEN,
};
static CHANGED_DELIVERY: Statement = Statement {
    head: "UPDATE delivery SET outcome = v.column2, reason = v.column3, attempts = v.column4, due_at = v.column5, \
           waits = v.column6, holder = v.column7, tried = v.column8, ending = v.column9, changed_at = v.column10, \
           finished_at = v.column11, series = v.column12, receipted = v.column13, receipt_at = v.column14, \
           receipt_attempts = v.column15 FROM",
    columns: 15,
    tail: "AS v WHERE delivery.key = v.column1",
};
static ADDRESSED: Statement = Statement {
    head: "UPDATE delivery SET recipient = v.column2, role = v.column3 FROM",
    columns: 3,
    tail: "AS v WHERE delivery.key = v.column1",
};
/// The most frequent change, and the smallest.
static RECEIPT_SENT: Statement =
    Statement { head: "UPDATE delivery SET receipt_at = NULL, holder = NULL WHERE key IN", columns: 1, tail: "" };
static PENDING: Statement = Statement {
    head: "INSERT INTO pending (delivery, decision, kind, content_type, digest, body) SELECT * FROM",
    columns: 6,
    tail: "AS v WHERE v.column1 IS NOT NULL ON CONFLICT (delivery) DO UPDATE SET decision = excluded.decision, \
           kind = excluded.kind, content_type = excluded.content_type, digest = excluded.digest, body = excluded.body",
};
static STRIP_PENDING: Statement = Statement {
    head: "UPDATE pending SET kind = NULL, content_type = NULL, digest = NULL, body = NULL WHERE delivery IN",
    columns: 1,
    tail: "",
};
static NEW_RECEIPT: Statement =
    Statement { head: "INSERT INTO receipt (delivery, id, jws) SELECT * FROM", columns: 3, tail: GIVEN };
static HIGHEST: Statement = Statement {
    head: "INSERT INTO series (key, sequence) SELECT * FROM",
    columns: 2,
    tail: "AS v WHERE v.column1 IS NOT NULL ON CONFLICT (key) DO UPDATE SET sequence = excluded.sequence",
};
static NEW_RECORD: Statement = Statement {
    head: "INSERT INTO record (message, kind, id, subject_bsn, subject_skn, sequence, content) SELECT * FROM",
    columns: 7,
    tail: GIVEN,
};
static NEW_ACTION: Statement = Statement {
    head: "INSERT INTO action (at, delivery, subject_bsn, subject_skn, who, what, why) SELECT * FROM",
    columns: 7,
    tail: GIVEN,
};
static NO_PENDING: Statement = Statement { head: "DELETE FROM pending WHERE delivery IN", columns: 1, tail: "" };
static NO_DELIVERY: Statement = Statement { head: "DELETE FROM delivery WHERE key IN", columns: 1, tail: "" };
static NO_RAW: Statement = Statement {
    head: "DELETE FROM raw WHERE message IN",
    columns: 1,
    tail: "AND NOT EXISTS (SELECT 1 FROM message AS m JOIN delivery AS d \
           ON d.key BETWEEN m.first_delivery AND m.last_delivery \
           WHERE m.key = raw.message AND d.finished_at IS NULL)",
};
const GIVEN: &str = "AS v WHERE v.column1 IS NOT NULL";

impl Work {
    /// Gives back the rows, as they are now.
    pub async fn save(mut self, connection: &mut Connection, keys: &Keys) -> Result<Vec<Row>> {
        let over = self.end_payloads();
        let rows = &self.rows;
        let mut changed: Vec<&Row> = rows.values().filter(|row| row.before.is_some() && row.is_changed()).collect();
        changed.sort_unstable_by_key(|row| row.key);
        let new = self.written.deliveries.drain(..).filter_map(|new| Some((rows.get(&new.key)?, new))).collect();
        self.written.save(connection, keys, changed, new).await?;
        NO_RAW.with(over, put_one).execute(connection).await?;
        Ok(self.rows.into_values().collect())
    }

    /// Drops what nothing needs any more. Gives the messages that may be over.
    fn end_payloads(&mut self) -> Vec<i64> {
        let mut over: Vec<i64> = Vec::new();
        for row in self.rows.values().filter(|row| row.ended()) {
            over.extend(row.keeps_raw.then_some(row.message));
            self.written.strip(row.key);
        }
        for row in &self.written.removed {
            over.extend(row.keeps_raw.then_some(row.message));
            self.written.pending.insert(row.key, Pending::Drop);
        }
        for (key, _) in &self.written.receipts {
            self.written.pending.insert(*key, Pending::Drop);
        }
        over.sort_unstable();
        over.dedup();
        over
    }
}

impl Written {
    async fn save(
        self,
        connection: &mut Connection,
        keys: &Keys,
        changed: Vec<&Row>,
        new: Vec<(&Row, DeliveryRow)>,
    ) -> Result<()> {
        let (mut kept, mut stripped, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
        let mut pending: Vec<_> = self.pending.into_iter().collect();
        pending.sort_unstable_by_key(|(key, _)| *key);
        for (key, pending) in pending {
            match pending {
                Pending::Keep { decision, outgoing } => kept.push((key, decision, outgoing)),
                Pending::Strip => stripped.push(key),
                Pending::Drop => dropped.push(key),
            }
        }
        let mut messages = self.messages;
        let keeping = messages.iter_mut().filter(|row| row.keeps_raw);
        let raw = keeping.map(|row| (row.key, std::mem::take(&mut row.accept.message.raw))).collect();
        let removed = self.removed.into_iter().map(|row| row.key).collect();
        // First what goes, so that what comes takes its place: a page is then written once, not twice.
        let (sent, changed): (Vec<_>, Vec<_>) = changed.into_iter().partition(|row| row.has_only_its_receipt_sent());
        let sent = sent.into_iter().map(|row| row.key).collect();
        let settled = vec![
            CHANGED_DELIVERY.with(changed, put_changed),
            RECEIPT_SENT.with(sent, put_one),
            NO_PENDING.with(dropped, put_one),
            NEW_RECEIPT.with(self.receipts, put_receipt),
        ];
        let accepted = vec![
            NEW_DELIVERY.with(new, put_delivery),
            PENDING.with(kept, |kept, values| put_pending(kept, keys, values)),
            NEW_MESSAGE.with(messages, put_message),
            NEW_RAW.with(raw, |raw, values| put_raw(raw, keys, values)),
            HIGHEST.with(self.series.into_iter().collect(), put_highest),
        ];
        execute_together(connection, settled).await?;
        execute_together(connection, accepted).await?;
        ADDRESSED.with(self.addressed.into_iter().collect(), put_address).execute(connection).await?;
        STRIP_PENDING.with(stripped, put_one).execute(connection).await?;
        NEW_RECORD.with(self.records, put_record).execute(connection).await?;
        NEW_ACTION.with(self.actions, put_action).execute(connection).await?;
        NO_DELIVERY.with(removed, put_one).execute(connection).await
    }
}

fn put_changed(row: &Row, values: &mut Values) {
    values.put(row.key);
    put_progress(row, values);
}

fn put_message(row: MessageRow, values: &mut Values) {
    let Accept { identity, message, message_ref, .. } = *row.accept;
    values.put(row.key).put(identity.to_vec()).put(message.source).put(message.id).put(message.digest.to_vec());
    values.put(message.conflict).put(message.kind).put(message.sender.as_str());
    values.put(message.received_at.as_microsecond()).put(message.traceparent);
    values.put(message.caller.map(|span| span.to_vec()));
    values.put(message.order.map(|order| order.key.to_vec())).put(message.order.map(|order| order.sequence));
    put_subject(message.subject, values);
    values.put(message_ref).put(message.policy_version).put(message.mapping_version);
    values.put(row.first).put(row.last).put(row.keeps_raw);
}

fn put_raw((message, content): (i64, Personal<Vec<u8>>), keys: &Keys, values: &mut Values) {
    values.put(message).put_sealed(keys.seal(content.into_personal_data(), Place::Raw(message)));
}

fn put_delivery((row, delivery): (&Row, DeliveryRow), values: &mut Values) {
    let (party, role) = delivery.recipient.unzip();
    values.put(row.key).put(row.message).put(delivery.idempotency_key.into_bytes().to_vec());
    values.put(party.as_ref().map(PartyId::as_str)).put(role.as_ref().map(Role::as_str)).put(row.volatile);
    put_progress(row, values);
}

fn put_address((key, (party, role)): (i64, (PartyId, Role)), values: &mut Values) {
    values.put(key).put(party.as_str()).put(role.as_str());
}

/// In the order in which both statements on `delivery` name the columns.
fn put_progress(row: &Row, values: &mut Values) {
    let progress = &row.progress;
    let series = row.order.filter(|_| !progress.is_final()).map(|order| order.key.to_vec());
    values.put(progress.outcome.as_str()).put(progress.reason.as_deref()).put(i64::from(progress.attempts));
    values.put(progress.due_at).put(progress.waits).put(progress.holder).put(progress.tried);
    values.put(progress.ending.map(Outcome::as_str)).put(progress.changed_at).put(progress.finished_at);
    values.put(series).put(progress.receipted).put(progress.receipt_at).put(i64::from(progress.receipt_attempts));
}

fn put_pending((key, decision, outgoing): (i64, String, Option<Outgoing>), keys: &Keys, values: &mut Values) {
    values.put(key).put(decision);
    match outgoing {
        Some(outgoing) => {
            values.put(outgoing.kind).put(outgoing.content_type).put(outgoing.digest);
            values.put_sealed(keys.seal(outgoing.body.into_personal_data(), Place::Body(key)));
        }
        None => {
            (0..3).for_each(|_| _ = values.put(None::<&str>));
            values.put(None::<Vec<u8>>);
        }
    }
}

fn put_receipt((key, receipt): (i64, SignedReceipt), values: &mut Values) {
    let (id, jws) = receipt.into_parts();
    values.put(key).put(id.into_bytes().to_vec()).put(jws);
}

fn put_highest((key, sequence): ([u8; 32], i64), values: &mut Values) {
    values.put(key.to_vec()).put(sequence);
}

fn put_action(action: Action, values: &mut Values) {
    values.put(action.at).put(action.delivery);
    put_subject(action.subject, values);
    values.put(action.who).put(action.what).put(action.why);
}

fn put_record(RecordRow { message, subject, record }: RecordRow, values: &mut Values) {
    values.put(message).put(record.kind.as_str()).put(record.id);
    put_subject(subject, values);
    values.put(record.sequence).put(record.content);
}
