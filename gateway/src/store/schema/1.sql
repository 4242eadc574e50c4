-- One row per message. `seq` grows, so that new and old rows share pages; there is no index on
-- purpose: with random keys each would cost several times what the row costs (docs/capacity.md),
-- and a look-up by hand may read 200,000 rows.
CREATE TABLE im (
    seq         INTEGER PRIMARY KEY,
    key         BLOB    NOT NULL,
    direction   TEXT    NOT NULL,
    jid         TEXT    NOT NULL,
    aor         TEXT    NOT NULL,
    sender_id   TEXT,
    from_peer   TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    fate        TEXT,
    accepted_at INTEGER NOT NULL,
    deadline    INTEGER NOT NULL,
    body        TEXT,
    fingerprint INTEGER NOT NULL
);
-- What is not settled is found at once at start.
CREATE INDEX im_open ON im (seq) WHERE state <> 'settled';
-- Written to find out whether the disk takes writes again.
CREATE TABLE probe (
    id      INTEGER PRIMARY KEY,
    padding BLOB NOT NULL
);
