-- Times are Unix milliseconds. What has expired is deleted by time, a bounded number
-- of rows at once.

CREATE TABLE clusters (
  id INTEGER PRIMARY KEY,
  uid TEXT NOT NULL UNIQUE
);

-- Streams, with the newest epoch of each and how many batches there were of all its
-- epochs. Who stores something of a stream locks its row.
CREATE TABLE ingest_streams (
  cluster_id INTEGER NOT NULL,
  stream INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  batches INTEGER NOT NULL,
  PRIMARY KEY (cluster_id, stream)
) WITHOUT ROWID;

-- Every epoch is a sequence of its own. Several of a stream come side by side.
CREATE TABLE ingest_offsets (
  cluster_id INTEGER NOT NULL,
  stream INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  began_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  PRIMARY KEY (cluster_id, stream, epoch)
) WITHOUT ROWID;

-- What the last batches of a stream contained, whatever their epochs, to tell a repetition from a contradiction.
CREATE TABLE ingest_batches (
  cluster_id INTEGER NOT NULL,
  stream INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  sums BLOB NOT NULL,
  PRIMARY KEY (cluster_id, stream, slot)
) WITHOUT ROWID;

CREATE TABLE gaps (
  id INTEGER PRIMARY KEY,
  cluster_id INTEGER NOT NULL,
  stream INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  from_seq INTEGER NOT NULL,
  to_seq INTEGER NOT NULL,
  reason INTEGER NOT NULL,
  dropped INTEGER NOT NULL,
  start_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL,
  noted_ms INTEGER NOT NULL
);
CREATE INDEX gaps_by_time ON gaps (cluster_id, noted_ms, id);

CREATE TABLE quarantine (
  id INTEGER PRIMARY KEY,
  cluster_id INTEGER NOT NULL,
  stream INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  from_seq INTEGER NOT NULL,
  to_seq INTEGER NOT NULL,
  reason TEXT NOT NULL,
  raw BLOB NOT NULL,
  noted_ms INTEGER NOT NULL
);
CREATE INDEX quarantine_by_time ON quarantine (cluster_id, noted_ms, id);

CREATE TABLE inventory (
  cluster_id INTEGER NOT NULL,
  uid TEXT NOT NULL,
  kind TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  phase TEXT NOT NULL,
  node TEXT NOT NULL,
  ready INTEGER NOT NULL,
  content INTEGER NOT NULL,
  detail TEXT NOT NULL,
  first_ms INTEGER NOT NULL,
  changed_ms INTEGER NOT NULL,
  gone_ms INTEGER NOT NULL,
  seen_epoch INTEGER NOT NULL,
  seen_seq INTEGER NOT NULL,
  PRIMARY KEY (cluster_id, uid)
);
CREATE INDEX inventory_by_name ON inventory (cluster_id, kind, namespace, name, uid);
CREATE INDEX inventory_gone ON inventory (gone_ms) WHERE gone_ms > 0;

-- Snapshots that have begun.
CREATE TABLE inventory_snapshots (
  cluster_id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  begin_seq INTEGER NOT NULL,
  PRIMARY KEY (cluster_id, kind, epoch)
) WITHOUT ROWID;

-- The newest complete snapshot of each kind: what was seen before it only is gone,
-- also when the hub hears of it later.
CREATE TABLE inventory_floors (
  cluster_id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  begin_seq INTEGER NOT NULL,
  end_seq INTEGER NOT NULL,
  end_ms INTEGER NOT NULL,
  PRIMARY KEY (cluster_id, kind)
) WITHOUT ROWID;

CREATE TABLE inventory_changes (
  cluster_id INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  uid TEXT NOT NULL,
  kind TEXT NOT NULL,
  namespace TEXT NOT NULL,
  op INTEGER NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX inventory_changes_by_time ON inventory_changes (cluster_id, at_ms, epoch, seq, uid);
CREATE INDEX inventory_changes_by_uid ON inventory_changes (cluster_id, uid, at_ms);

CREATE TABLE events (
  cluster_id INTEGER NOT NULL,
  uid TEXT NOT NULL,
  rv INTEGER NOT NULL,
  last_ms INTEGER NOT NULL,
  first_ms INTEGER NOT NULL,
  occurrences INTEGER NOT NULL,
  type INTEGER NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  reason TEXT NOT NULL,
  message TEXT NOT NULL,
  about_kind TEXT NOT NULL,
  about_namespace TEXT NOT NULL,
  about_name TEXT NOT NULL,
  about_uid TEXT NOT NULL,
  field_path TEXT NOT NULL,
  controller TEXT NOT NULL,
  host TEXT NOT NULL,
  PRIMARY KEY (cluster_id, uid)
);
CREATE INDEX events_by_time ON events (cluster_id, last_ms, uid);

CREATE TABLE nodes (
  id INTEGER PRIMARY KEY,
  cluster_id INTEGER NOT NULL,
  name TEXT NOT NULL,
  UNIQUE (cluster_id, name)
);

-- Lists of series, each kept once. Those that nobody used for a while are dropped.
CREATE TABLE series_sets (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,
  series BLOB NOT NULL,
  used_day INTEGER NOT NULL
);

-- Samples of hours that are not closed yet, or that came late.
CREATE TABLE node_samples (
  node_id INTEGER NOT NULL,
  set_id INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  data BLOB NOT NULL
);
CREATE INDEX node_samples_by_node ON node_samples (node_id, at_ms);

CREATE TABLE node_chunks (
  node_id INTEGER NOT NULL,
  grp INTEGER NOT NULL,
  start_ms INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (node_id, grp, start_ms)
);

CREATE TABLE node_fine (
  node_id INTEGER NOT NULL,
  grp INTEGER NOT NULL,
  start_ms INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (node_id, grp, start_ms)
);

CREATE TABLE node_coarse (
  node_id INTEGER NOT NULL,
  grp INTEGER NOT NULL,
  start_ms INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (node_id, grp, start_ms)
);

CREATE TABLE sli_routes (
  id INTEGER PRIMARY KEY,
  cluster_id INTEGER NOT NULL,
  digest BLOB NOT NULL,
  controller TEXT NOT NULL,
  kind TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  route TEXT NOT NULL,
  UNIQUE (cluster_id, digest)
);

CREATE TABLE sli_slices (
  route_id INTEGER NOT NULL,
  start_ms INTEGER NOT NULL,
  total REAL NOT NULL,
  bad REAL NOT NULL,
  epoch INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (route_id, start_ms)
) WITHOUT ROWID;

CREATE TABLE sli_hours (
  route_id INTEGER NOT NULL,
  start_ms INTEGER NOT NULL,
  total REAL NOT NULL,
  bad REAL NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (route_id, start_ms)
) WITHOUT ROWID;

-- Hours whose sums are not there yet, or no longer right.
CREATE TABLE sli_dirty (
  route_id INTEGER NOT NULL,
  start_ms INTEGER NOT NULL,
  PRIMARY KEY (route_id, start_ms)
) WITHOUT ROWID;

CREATE TABLE anomaly_transitions (
  cluster_id INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  rule TEXT NOT NULL,
  namespace TEXT NOT NULL,
  severity INTEGER NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX anomaly_transitions_by_time ON anomaly_transitions (cluster_id, at_ms, epoch, seq);

CREATE TABLE anomalies_open (
  cluster_id INTEGER NOT NULL,
  rule TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  namespace TEXT NOT NULL,
  severity INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (cluster_id, rule, fingerprint)
);

-- What was cleared last, so that an older epoch does not open it again.
CREATE TABLE anomalies_cleared (
  cluster_id INTEGER NOT NULL,
  rule TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  PRIMARY KEY (cluster_id, rule, fingerprint)
);

CREATE TABLE command_output (
  cluster_id INTEGER NOT NULL,
  command_uid TEXT NOT NULL,
  execution_id TEXT NOT NULL,
  idx INTEGER NOT NULL,
  source INTEGER NOT NULL,
  is_last INTEGER NOT NULL,
  truncated INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (cluster_id, command_uid, execution_id, idx)
);
CREATE INDEX command_output_by_time ON command_output (at_ms);

CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  cluster TEXT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  outcome TEXT NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX audit_by_time ON audit (at_ms, id);

-- 7776000000 ms are the 90 days of history.MinAudit.
CREATE TRIGGER audit_append_only BEFORE UPDATE ON audit BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_keep BEFORE DELETE ON audit
  WHEN OLD.at_ms > CAST(strftime('%s', 'now') AS INTEGER) * 1000 - 7776000000 BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only');
END;

CREATE TABLE heartbeat (
  id INTEGER PRIMARY KEY,
  beat_ms INTEGER NOT NULL
);

-- By time alone, for what has expired.
CREATE INDEX inventory_changes_expiry ON inventory_changes (at_ms);
CREATE INDEX events_expiry ON events (last_ms);
CREATE INDEX node_samples_expiry ON node_samples (at_ms);
CREATE INDEX node_chunks_expiry ON node_chunks (start_ms);
CREATE INDEX node_fine_expiry ON node_fine (start_ms);
CREATE INDEX node_coarse_expiry ON node_coarse (start_ms);
CREATE INDEX sli_slices_expiry ON sli_slices (start_ms);
CREATE INDEX sli_hours_expiry ON sli_hours (start_ms);
CREATE INDEX anomaly_transitions_expiry ON anomaly_transitions (at_ms);
CREATE INDEX anomalies_cleared_expiry ON anomalies_cleared (at_ms);
CREATE INDEX gaps_expiry ON gaps (noted_ms);
CREATE INDEX quarantine_expiry ON quarantine (noted_ms);
