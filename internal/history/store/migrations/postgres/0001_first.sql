-- Times are Unix milliseconds. Tables that are partitioned have partitions of
-- whole days, named after their first day; package store makes and drops them.

CREATE TABLE clusters (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uid text COLLATE "C" NOT NULL UNIQUE
);

-- Streams, with the newest epoch of each and how many batches there were of all its
-- epochs. Who stores something of a stream locks its row.
CREATE TABLE ingest_streams (
  cluster_id int NOT NULL,
  stream smallint NOT NULL,
  epoch bigint NOT NULL,
  batches bigint NOT NULL,
  PRIMARY KEY (cluster_id, stream)
) WITH (fillfactor = 50);

-- Every epoch is a sequence of its own. Several of a stream come side by side.
CREATE TABLE ingest_offsets (
  cluster_id int NOT NULL,
  stream smallint NOT NULL,
  epoch bigint NOT NULL,
  last_seq bigint NOT NULL,
  began_ms bigint NOT NULL,
  updated_ms bigint NOT NULL,
  PRIMARY KEY (cluster_id, stream, epoch)
) WITH (fillfactor = 50);

-- What the last batches of a stream contained, whatever their epochs, to tell a repetition from a contradiction.
CREATE TABLE ingest_batches (
  cluster_id int NOT NULL,
  stream smallint NOT NULL,
  slot smallint NOT NULL,
  epoch bigint NOT NULL,
  first_seq bigint NOT NULL,
  last_seq bigint NOT NULL,
  sums bytea NOT NULL,
  PRIMARY KEY (cluster_id, stream, slot)
) WITH (fillfactor = 70);

CREATE TABLE gaps (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  cluster_id int NOT NULL,
  stream smallint NOT NULL,
  epoch bigint NOT NULL,
  from_seq bigint NOT NULL,
  to_seq bigint NOT NULL,
  reason smallint NOT NULL,
  dropped bigint NOT NULL,
  start_ms bigint NOT NULL,
  end_ms bigint NOT NULL,
  noted_ms bigint NOT NULL
);
CREATE INDEX gaps_by_time ON gaps (cluster_id, noted_ms, id);

CREATE TABLE quarantine (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  cluster_id int NOT NULL,
  stream smallint NOT NULL,
  epoch bigint NOT NULL,
  from_seq bigint NOT NULL,
  to_seq bigint NOT NULL,
  reason text NOT NULL,
  raw bytea NOT NULL,
  noted_ms bigint NOT NULL
);
CREATE INDEX quarantine_by_time ON quarantine (cluster_id, noted_ms, id);

CREATE TABLE inventory (
  cluster_id int NOT NULL,
  uid text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  namespace text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  phase text COLLATE "C" NOT NULL,
  node text COLLATE "C" NOT NULL,
  ready smallint NOT NULL,
  content bigint NOT NULL,
  detail text NOT NULL,
  first_ms bigint NOT NULL,
  changed_ms bigint NOT NULL,
  gone_ms bigint NOT NULL,
  seen_epoch bigint NOT NULL,
  seen_seq bigint NOT NULL,
  PRIMARY KEY (cluster_id, uid)
) WITH (fillfactor = 80);
CREATE INDEX inventory_by_name ON inventory (cluster_id, kind, namespace, name, uid);
CREATE INDEX inventory_gone ON inventory (gone_ms) WHERE gone_ms > 0;

-- Snapshots that have begun.
CREATE TABLE inventory_snapshots (
  cluster_id int NOT NULL,
  kind text COLLATE "C" NOT NULL,
  epoch bigint NOT NULL,
  begin_seq bigint NOT NULL,
  PRIMARY KEY (cluster_id, kind, epoch)
);

-- The newest complete snapshot of each kind: what was seen before it only is gone,
-- also when the hub hears of it later.
CREATE TABLE inventory_floors (
  cluster_id int NOT NULL,
  kind text COLLATE "C" NOT NULL,
  epoch bigint NOT NULL,
  begin_seq bigint NOT NULL,
  end_seq bigint NOT NULL,
  end_ms bigint NOT NULL,
  PRIMARY KEY (cluster_id, kind)
);

CREATE TABLE inventory_changes (
  cluster_id int NOT NULL,
  at_ms bigint NOT NULL,
  epoch bigint NOT NULL,
  seq bigint NOT NULL,
  uid text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  namespace text COLLATE "C" NOT NULL,
  op smallint NOT NULL,
  detail text NOT NULL
) PARTITION BY RANGE (at_ms);
CREATE INDEX inventory_changes_by_time ON inventory_changes (cluster_id, at_ms, epoch, seq, uid);
CREATE INDEX inventory_changes_by_uid ON inventory_changes (cluster_id, uid, at_ms);

CREATE TABLE events (
  cluster_id int NOT NULL,
  uid text COLLATE "C" NOT NULL,
  rv bigint NOT NULL,
  last_ms bigint NOT NULL,
  first_ms bigint NOT NULL,
  occurrences bigint NOT NULL,
  type smallint NOT NULL,
  namespace text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  reason text COLLATE "C" NOT NULL,
  message text NOT NULL,
  about_kind text COLLATE "C" NOT NULL,
  about_namespace text COLLATE "C" NOT NULL,
  about_name text COLLATE "C" NOT NULL,
  about_uid text COLLATE "C" NOT NULL,
  field_path text NOT NULL,
  controller text NOT NULL,
  host text NOT NULL,
  PRIMARY KEY (cluster_id, uid)
) WITH (fillfactor = 90);
CREATE INDEX events_by_time ON events (cluster_id, last_ms, uid);

CREATE TABLE nodes (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  cluster_id int NOT NULL,
  name text COLLATE "C" NOT NULL,
  UNIQUE (cluster_id, name)
);

-- Lists of series, each kept once. Those that nobody used for a while are dropped.
CREATE TABLE series_sets (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  digest bytea NOT NULL UNIQUE,
  series bytea NOT NULL,
  used_day int NOT NULL
);

-- Samples of hours that are not closed yet, or that came late.
CREATE TABLE node_samples (
  node_id int NOT NULL,
  set_id int NOT NULL,
  at_ms bigint NOT NULL,
  data bytea NOT NULL
) PARTITION BY RANGE (at_ms);
CREATE INDEX node_samples_by_node ON node_samples (node_id, at_ms);
ALTER TABLE node_samples ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE node_chunks (
  node_id int NOT NULL,
  grp smallint NOT NULL,
  start_ms bigint NOT NULL,
  data bytea NOT NULL,
  PRIMARY KEY (node_id, grp, start_ms)
) PARTITION BY RANGE (start_ms);
ALTER TABLE node_chunks ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE node_fine (
  node_id int NOT NULL,
  grp smallint NOT NULL,
  start_ms bigint NOT NULL,
  data bytea NOT NULL,
  PRIMARY KEY (node_id, grp, start_ms)
) PARTITION BY RANGE (start_ms);
ALTER TABLE node_fine ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE node_coarse (
  node_id int NOT NULL,
  grp smallint NOT NULL,
  start_ms bigint NOT NULL,
  data bytea NOT NULL,
  PRIMARY KEY (node_id, grp, start_ms)
) PARTITION BY RANGE (start_ms);
ALTER TABLE node_coarse ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE sli_routes (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  cluster_id int NOT NULL,
  digest bytea NOT NULL,
  controller text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  namespace text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  route text COLLATE "C" NOT NULL,
  UNIQUE (cluster_id, digest)
);

CREATE TABLE sli_slices (
  route_id int NOT NULL,
  start_ms bigint NOT NULL,
  total double precision NOT NULL,
  bad double precision NOT NULL,
  epoch bigint NOT NULL,
  data bytea NOT NULL,
  PRIMARY KEY (route_id, start_ms)
) PARTITION BY RANGE (start_ms);

CREATE TABLE sli_hours (
  route_id int NOT NULL,
  start_ms bigint NOT NULL,
  total double precision NOT NULL,
  bad double precision NOT NULL,
  data bytea NOT NULL,
  PRIMARY KEY (route_id, start_ms)
) PARTITION BY RANGE (start_ms);

-- Hours whose sums are not there yet, or no longer right.
CREATE TABLE sli_dirty (
  route_id int NOT NULL,
  start_ms bigint NOT NULL,
  PRIMARY KEY (route_id, start_ms)
);

CREATE TABLE anomaly_transitions (
  cluster_id int NOT NULL,
  at_ms bigint NOT NULL,
  epoch bigint NOT NULL,
  seq bigint NOT NULL,
  rule text COLLATE "C" NOT NULL,
  namespace text COLLATE "C" NOT NULL,
  severity smallint NOT NULL,
  detail text NOT NULL
) PARTITION BY RANGE (at_ms);
CREATE INDEX anomaly_transitions_by_time ON anomaly_transitions (cluster_id, at_ms, epoch, seq);

CREATE TABLE anomalies_open (
  cluster_id int NOT NULL,
  rule text COLLATE "C" NOT NULL,
  fingerprint text COLLATE "C" NOT NULL,
  namespace text COLLATE "C" NOT NULL,
  severity smallint NOT NULL,
  at_ms bigint NOT NULL,
  epoch bigint NOT NULL,
  seq bigint NOT NULL,
  detail text NOT NULL,
  PRIMARY KEY (cluster_id, rule, fingerprint)
);

-- What was cleared last, so that an older epoch does not open it again.
CREATE TABLE anomalies_cleared (
  cluster_id int NOT NULL,
  rule text COLLATE "C" NOT NULL,
  fingerprint text COLLATE "C" NOT NULL,
  epoch bigint NOT NULL,
  seq bigint NOT NULL,
  at_ms bigint NOT NULL,
  PRIMARY KEY (cluster_id, rule, fingerprint)
);
CREATE INDEX anomalies_cleared_expiry ON anomalies_cleared (at_ms);

CREATE TABLE command_output (
  cluster_id int NOT NULL,
  command_uid text COLLATE "C" NOT NULL,
  execution_id text COLLATE "C" NOT NULL,
  idx bigint NOT NULL,
  source smallint NOT NULL,
  is_last smallint NOT NULL,
  truncated smallint NOT NULL,
  at_ms bigint NOT NULL,
  data bytea NOT NULL,
  PRIMARY KEY (cluster_id, command_uid, execution_id, idx)
);
CREATE INDEX command_output_by_time ON command_output (at_ms);

CREATE TABLE audit (
  id bigint GENERATED ALWAYS AS IDENTITY,
  at_ms bigint NOT NULL,
  cluster text COLLATE "C" NOT NULL,
  actor text COLLATE "C" NOT NULL,
  action text COLLATE "C" NOT NULL,
  object text NOT NULL,
  outcome text NOT NULL,
  detail text NOT NULL
) PARTITION BY RANGE (at_ms);
CREATE INDEX audit_by_time ON audit (at_ms, id);

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
  FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_keep BEFORE TRUNCATE ON audit
  FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

CREATE TABLE heartbeat (
  id int PRIMARY KEY,
  beat_ms bigint NOT NULL
);
