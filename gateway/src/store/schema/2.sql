-- One row per relation: who watches whom, the authorization and its dialogs, in the form of the
-- machine that owns it.
CREATE TABLE relation (
    jid  TEXT NOT NULL,
    aor  TEXT NOT NULL,
    role TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (jid, aor, role)
) WITHOUT ROWID;
-- The last known presence of a relation, written behind.
CREATE TABLE document (
    jid  TEXT NOT NULL,
    aor  TEXT NOT NULL,
    role TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (jid, aor, role)
) WITHOUT ROWID;
-- What has to be known of the file as a whole: when it was made, if it is a backup; peers that are
-- not believed.
CREATE TABLE mark (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
-- One row per decision of the operator: on a pair, or on one user, where the other column is empty.
CREATE TABLE acl (
    jid        TEXT    NOT NULL,
    aor        TEXT    NOT NULL,
    verdict    TEXT    NOT NULL,
    changed_at INTEGER NOT NULL,
    changed_by INTEGER,
    PRIMARY KEY (jid, aor)
) WITHOUT ROWID;
