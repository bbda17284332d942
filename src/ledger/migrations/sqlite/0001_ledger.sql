-- Times are microseconds since 1970. What is large and leaves again (`raw`, `pending`) or never changes (`receipt`)
-- lies apart from `delivery`, whose rows are rewritten at every step.

CREATE TABLE message (
    key INTEGER PRIMARY KEY,
    -- Digest of source and id; of a message in conflict with an earlier one, also of its content.
    identity BLOB NOT NULL,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    digest BLOB NOT NULL,
    conflict INTEGER NOT NULL,
    kind TEXT,
    sender TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    traceparent TEXT,
    -- The span of the sender out of which the message came, where it sent one.
    caller BLOB,
    series BLOB,
    sequence INTEGER,
    -- Whom it is about, under the gateway's key. No index: they are random, and each would cost every message a page.
    subject_bsn BLOB,
    subject_skn BLOB,
    message_ref TEXT NOT NULL,
    policy_version TEXT NOT NULL,
    mapping_version TEXT NOT NULL,
    -- A message's deliveries have consecutive keys, so that no index is needed to find them.
    first_delivery INTEGER NOT NULL,
    last_delivery INTEGER NOT NULL,
    -- The message as it came in lies in `raw` until every delivery is final.
    keeps_raw INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX message_identity ON message (identity);

CREATE TABLE raw (
    message INTEGER PRIMARY KEY,
    -- Encrypted, as is `pending.body`.
    content BLOB NOT NULL
) STRICT;

CREATE TABLE delivery (
    key INTEGER PRIMARY KEY,
    message INTEGER NOT NULL,
    idempotency_key BLOB NOT NULL,
    recipient TEXT,
    role TEXT,
    volatile INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    attempts INTEGER NOT NULL,
    -- When it is taken up; of what is leased, when the lease ends. NULL: not by itself.
    due_at INTEGER,
    -- Ready but for its recipient, who takes nothing or no more now. Taken up in the order in which they came.
    waits INTEGER NOT NULL,
    -- Who has it in hand now, or once it is final its receipt: a node, or whoever is alone with a file. NULL: nobody.
    holder INTEGER,
    -- It was ready to be sent once, so an attempt may have reached the recipient.
    tried INTEGER NOT NULL,
    -- The outcome with which it ends once whoever holds it reports.
    ending TEXT,
    changed_at INTEGER NOT NULL,
    finished_at INTEGER,
    -- Of the message, as long as this is not final.
    series BLOB,
    receipted INTEGER NOT NULL,
    -- When the receipt is sent (again). NULL: it was sent, or there is none.
    receipt_at INTEGER,
    receipt_attempts INTEGER NOT NULL
) STRICT;

CREATE INDEX delivery_unfinished ON delivery (due_at) WHERE finished_at IS NULL;
CREATE INDEX delivery_waits ON delivery (recipient) WHERE waits;
CREATE INDEX delivery_series ON delivery (series) WHERE series IS NOT NULL;
CREATE INDEX delivery_owing ON delivery (finished_at) WHERE finished_at IS NOT NULL AND NOT receipted;
CREATE INDEX delivery_receipt ON delivery (receipt_at) WHERE receipt_at IS NOT NULL;

-- What is needed until there is a receipt: what policy said, and the bytes for the recipient as long as they may
-- have to be sent. The receipt then says what policy said.
CREATE TABLE pending (
    delivery INTEGER PRIMARY KEY,
    decision TEXT NOT NULL,
    kind TEXT,
    content_type TEXT,
    digest TEXT,
    body BLOB
) STRICT;

CREATE TABLE receipt (
    -- In the order in which they were made and never given twice, as are those of `action` and `purge`: the disclosure
    -- log takes them up in this order.
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    delivery INTEGER NOT NULL,
    id BLOB NOT NULL,
    jws TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX receipt_delivery ON receipt (delivery);
CREATE INDEX receipt_id ON receipt (id);

-- The highest sequence that was recorded of each series.
CREATE TABLE series (
    key BLOB PRIMARY KEY,
    sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Consents, withdrawals and assessments that came by message, in the order in which they came: nothing in here is
-- ever changed, and what counts is made out of it when it is read. `content` holds no personal data.
CREATE TABLE record (
    key INTEGER PRIMARY KEY,
    message INTEGER NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    subject_bsn BLOB,
    subject_skn BLOB,
    sequence INTEGER,
    content TEXT NOT NULL
) STRICT;

CREATE INDEX record_bsn ON record (subject_bsn) WHERE subject_bsn IS NOT NULL;
CREATE INDEX record_skn ON record (subject_skn) WHERE subject_skn IS NOT NULL;
CREATE INDEX record_withdrawal ON record (id) WHERE kind = 'intrekking';

-- What persons did, and why.
CREATE TABLE action (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    -- What it was about: a delivery, or the data of one person.
    delivery INTEGER,
    subject_bsn BLOB,
    subject_skn BLOB,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    why TEXT NOT NULL
) STRICT;

-- What went after its term, a row for each step: what, how many, what ended before when, and when that was done.
CREATE TABLE purge (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    what TEXT NOT NULL,
    before INTEGER NOT NULL,
    at INTEGER NOT NULL,
    count INTEGER NOT NULL,
    -- The last message that was looked at, where the next pass goes on from there.
    last INTEGER NOT NULL,
    -- Of the disclosure log: which positions, as in `0-127,130-130`.
    entries TEXT
) STRICT;

CREATE INDEX purge_last ON purge (what, last);

-- Messages that were not over when their traffic data were purged.
CREATE TABLE left_behind (
    message INTEGER PRIMARY KEY
) STRICT;

-- The disclosure log. A leaf of the tree is `content`; when an entry goes after its term, the hash of its leaf stays.
CREATE TABLE log_entry (
    position INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    -- The key of the receipt, the action or the purge.
    record INTEGER NOT NULL,
    at INTEGER NOT NULL,
    digest_key BLOB NOT NULL,
    content TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX log_entry_record ON log_entry (kind, record);

-- 256 hashes of 32 bytes, fewer at the right edge of the tree; those of level 0 are of leaves.
CREATE TABLE log_tile (
    level INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (level, number)
) STRICT;

-- The last signed head of each hour.
CREATE TABLE log_head (
    size INTEGER PRIMARY KEY,
    hour INTEGER NOT NULL,
    at INTEGER NOT NULL,
    root BLOB NOT NULL,
    jws TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX log_head_hour ON log_head (hour);

-- The key under which entries know a person, encrypted as is `raw.content`. Without it nobody knows whose they are.
CREATE TABLE person_key (
    pseudonym BLOB PRIMARY KEY,
    key BLOB NOT NULL,
    -- The month of the last entry under it.
    used INTEGER NOT NULL
) STRICT;

-- What persons decided about many deliveries at once: each list is frozen when it is made.
CREATE TABLE job (
    key INTEGER PRIMARY KEY,
    what TEXT NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    -- Deliveries a second.
    rate INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    -- Who goes on with it, until when.
    lease_until INTEGER NOT NULL,
    holder TEXT NOT NULL
) STRICT;

CREATE TABLE job_item (
    job INTEGER NOT NULL,
    place INTEGER NOT NULL,
    delivery INTEGER NOT NULL,
    -- Of the delivery when the list was frozen, and its `changed_at`: what is otherwise now is passed over.
    outcome TEXT NOT NULL,
    seen INTEGER NOT NULL,
    result TEXT,
    PRIMARY KEY (job, place)
) STRICT, WITHOUT ROWID;
