-- Times are Unix milliseconds. What has expired is deleted by time, a bounded number
-- of rows at once. MySQL commits after every statement here; what exists is passed
-- over when an interrupted migration is run again.

CREATE TABLE clusters (
  id int AUTO_INCREMENT PRIMARY KEY,
  uid varbinary(128) NOT NULL UNIQUE
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Streams, with the newest epoch of each and how many batches there were of all its
-- epochs. Who stores something of a stream locks its row.
CREATE TABLE ingest_streams (
  cluster_id int NOT NULL,
  stream smallint NOT NULL,
  epoch bigint NOT NULL,
  batches bigint NOT NULL,
  PRIMARY KEY (cluster_id, stream)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Every epoch is a sequence of its own. Several of a stream come side by side.
CREATE TABLE ingest_offsets (
  cluster_id int NOT NULL,
  stream smallint NOT NULL,
  epoch bigint NOT NULL,
  last_seq bigint NOT NULL,
  began_ms bigint NOT NULL,
  updated_ms bigint NOT NULL,
  PRIMARY KEY (cluster_id, stream, epoch)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What the last batches of a stream contained, whatever their epochs, to tell a repetition from a contradiction.
CREATE TABLE ingest_batches (
  cluster_id int NOT NULL,
  stream smallint NOT NULL,
  slot smallint NOT NULL,
  epoch bigint NOT NULL,
  first_seq bigint NOT NULL,
  last_seq bigint NOT NULL,
  sums longblob NOT NULL,
  PRIMARY KEY (cluster_id, stream, slot)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE gaps (
  id bigint AUTO_INCREMENT PRIMARY KEY,
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
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX gaps_by_time ON gaps (cluster_id, noted_ms, id);

CREATE TABLE quarantine (
  id bigint AUTO_INCREMENT PRIMARY KEY,
  cluster_id int NOT NULL,
  stream smallint NOT NULL,
  epoch bigint NOT NULL,
  from_seq bigint NOT NULL,
  to_seq bigint NOT NULL,
  reason varbinary(1024) NOT NULL,
  raw longblob NOT NULL,
  noted_ms bigint NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX quarantine_by_time ON quarantine (cluster_id, noted_ms, id);

CREATE TABLE inventory (
  cluster_id int NOT NULL,
  uid varbinary(128) NOT NULL,
  kind varbinary(256) NOT NULL,
  namespace varbinary(253) NOT NULL,
  name varbinary(253) NOT NULL,
  phase varbinary(256) NOT NULL,
  node varbinary(253) NOT NULL,
  ready smallint NOT NULL,
  content bigint NOT NULL,
  detail mediumtext NOT NULL,
  first_ms bigint NOT NULL,
  changed_ms bigint NOT NULL,
  gone_ms bigint NOT NULL,
  seen_epoch bigint NOT NULL,
  seen_seq bigint NOT NULL,
  PRIMARY KEY (cluster_id, uid)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX inventory_by_name ON inventory (cluster_id, kind, namespace, name, uid);
CREATE INDEX inventory_gone ON inventory (gone_ms);

-- Snapshots that have begun.
CREATE TABLE inventory_snapshots (
  cluster_id int NOT NULL,
  kind varbinary(256) NOT NULL,
  epoch bigint NOT NULL,
  begin_seq bigint NOT NULL,
  PRIMARY KEY (cluster_id, kind, epoch)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The newest complete snapshot of each kind: what was seen before it only is gone,
-- also when the hub hears of it later.
CREATE TABLE inventory_floors (
  cluster_id int NOT NULL,
  kind varbinary(256) NOT NULL,
  epoch bigint NOT NULL,
  begin_seq bigint NOT NULL,
  end_seq bigint NOT NULL,
  end_ms bigint NOT NULL,
  PRIMARY KEY (cluster_id, kind)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE inventory_changes (
  cluster_id int NOT NULL,
  at_ms bigint NOT NULL,
  epoch bigint NOT NULL,
  seq bigint NOT NULL,
  uid varbinary(128) NOT NULL,
  kind varbinary(256) NOT NULL,
  namespace varbinary(253) NOT NULL,
  op smallint NOT NULL,
  detail mediumtext NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX inventory_changes_by_time ON inventory_changes (cluster_id, at_ms, epoch, seq, uid);
CREATE INDEX inventory_changes_by_uid ON inventory_changes (cluster_id, uid, at_ms);

CREATE TABLE events (
  cluster_id int NOT NULL,
  uid varbinary(128) NOT NULL,
  rv bigint NOT NULL,
  last_ms bigint NOT NULL,
  first_ms bigint NOT NULL,
  occurrences bigint NOT NULL,
  type smallint NOT NULL,
  namespace varbinary(253) NOT NULL,
  name varbinary(253) NOT NULL,
  reason varbinary(256) NOT NULL,
  message mediumtext NOT NULL,
  about_kind varbinary(256) NOT NULL,
  about_namespace varbinary(253) NOT NULL,
  about_name varbinary(253) NOT NULL,
  about_uid varbinary(128) NOT NULL,
  field_path mediumtext NOT NULL,
  controller mediumtext NOT NULL,
  host mediumtext NOT NULL,
  PRIMARY KEY (cluster_id, uid)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX events_by_time ON events (cluster_id, last_ms, uid);

CREATE TABLE nodes (
  id int AUTO_INCREMENT PRIMARY KEY,
  cluster_id int NOT NULL,
  name varbinary(253) NOT NULL,
  UNIQUE (cluster_id, name)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Lists of series, each kept once. Those that nobody used for a while are dropped.
CREATE TABLE series_sets (
  id int AUTO_INCREMENT PRIMARY KEY,
  digest varbinary(32) NOT NULL UNIQUE,
  series longblob NOT NULL,
  used_day int NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Samples of hours that are not closed yet, or that came late.
CREATE TABLE node_samples (
  node_id int NOT NULL,
  set_id int NOT NULL,
  at_ms bigint NOT NULL,
  data longblob NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX node_samples_by_node ON node_samples (node_id, at_ms);

CREATE TABLE node_chunks (
  node_id int NOT NULL,
  grp smallint NOT NULL,
  start_ms bigint NOT NULL,
  data longblob NOT NULL,
  PRIMARY KEY (node_id, grp, start_ms)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE node_fine (
  node_id int NOT NULL,
  grp smallint NOT NULL,
  start_ms bigint NOT NULL,
  data longblob NOT NULL,
  PRIMARY KEY (node_id, grp, start_ms)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE node_coarse (
  node_id int NOT NULL,
  grp smallint NOT NULL,
  start_ms bigint NOT NULL,
  data longblob NOT NULL,
  PRIMARY KEY (node_id, grp, start_ms)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE sli_routes (
  id int AUTO_INCREMENT PRIMARY KEY,
  cluster_id int NOT NULL,
  digest varbinary(32) NOT NULL,
  controller mediumtext NOT NULL,
  kind varbinary(256) NOT NULL,
  namespace varbinary(253) NOT NULL,
  name varbinary(253) NOT NULL,
  route mediumtext NOT NULL,
  UNIQUE (cluster_id, digest)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE sli_slices (
  route_id int NOT NULL,
  start_ms bigint NOT NULL,
  total double NOT NULL,
  bad double NOT NULL,
  epoch bigint NOT NULL,
  data longblob NOT NULL,
  PRIMARY KEY (route_id, start_ms)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE sli_hours (
  route_id int NOT NULL,
  start_ms bigint NOT NULL,
  total double NOT NULL,
  bad double NOT NULL,
  data longblob NOT NULL,
  PRIMARY KEY (route_id, start_ms)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Hours whose sums are not there yet, or no longer right.
CREATE TABLE sli_dirty (
  route_id int NOT NULL,
  start_ms bigint NOT NULL,
  PRIMARY KEY (route_id, start_ms)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE anomaly_transitions (
  cluster_id int NOT NULL,
  at_ms bigint NOT NULL,
  epoch bigint NOT NULL,
  seq bigint NOT NULL,
  rule varbinary(253) NOT NULL,
  namespace varbinary(253) NOT NULL,
  severity smallint NOT NULL,
  detail mediumtext NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX anomaly_transitions_by_time ON anomaly_transitions (cluster_id, at_ms, epoch, seq);

CREATE TABLE anomalies_open (
  cluster_id int NOT NULL,
  rule varbinary(253) NOT NULL,
  fingerprint varbinary(128) NOT NULL,
  namespace varbinary(253) NOT NULL,
  severity smallint NOT NULL,
  at_ms bigint NOT NULL,
  epoch bigint NOT NULL,
  seq bigint NOT NULL,
  detail mediumtext NOT NULL,
  PRIMARY KEY (cluster_id, rule, fingerprint)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What was cleared last, so that an older epoch does not open it again.
CREATE TABLE anomalies_cleared (
  cluster_id int NOT NULL,
  rule varbinary(253) NOT NULL,
  fingerprint varbinary(128) NOT NULL,
  epoch bigint NOT NULL,
  seq bigint NOT NULL,
  at_ms bigint NOT NULL,
  PRIMARY KEY (cluster_id, rule, fingerprint)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE command_output (
  cluster_id int NOT NULL,
  command_uid varbinary(128) NOT NULL,
  execution_id varbinary(128) NOT NULL,
  idx bigint NOT NULL,
  source smallint NOT NULL,
  is_last smallint NOT NULL,
  truncated smallint NOT NULL,
  at_ms bigint NOT NULL,
  data longblob NOT NULL,
  PRIMARY KEY (cluster_id, command_uid, execution_id, idx)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX command_output_by_time ON command_output (at_ms);

CREATE TABLE audit (
  id bigint AUTO_INCREMENT PRIMARY KEY,
  at_ms bigint NOT NULL,
  cluster varbinary(128) NOT NULL,
  actor varbinary(512) NOT NULL,
  action varbinary(256) NOT NULL,
  object mediumtext NOT NULL,
  outcome mediumtext NOT NULL,
  detail mediumtext NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX audit_by_time ON audit (at_ms, id);

-- 7776000000 ms are the 90 days of history.MinAudit.
CREATE TRIGGER audit_append_only BEFORE UPDATE ON audit FOR EACH ROW
  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the audit log is append-only';
CREATE TRIGGER audit_keep BEFORE DELETE ON audit FOR EACH ROW
  IF OLD.at_ms > UNIX_TIMESTAMP() * 1000 - 7776000000 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the audit log is append-only'; END IF;

CREATE TABLE heartbeat (
  id int PRIMARY KEY,
  beat_ms bigint NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

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
