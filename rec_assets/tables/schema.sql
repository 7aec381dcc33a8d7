-- Only what DuckLake has too: no keys, indexes, sequences or checks; asset checks hold what keys would.
-- Times are UTC.

-- Grain: one row. Which log the tables were made from.
create table if not exists warehouse (format_version integer, log_id varchar);

-- Grain: one row per record of the log that was not accepted.
create table if not exists rejected_events (
  log_offset bigint,
  rule varchar, -- json, missing, type, length, control character, kind, range, time
  field varchar, -- '' for the whole payload
  value varchar, -- as a person can read it, cut to a line
  reason varchar
);

-- Grain: one row per accepted event with an item.
create table if not exists interactions (
  log_offset bigint,
  source varchar, -- that brought it into the log
  event_id varchar,
  user_id varchar,
  item_id varchar,
  event varchar,
  weight float, -- of the kind: for the item above 0, against it below
  target boolean, -- of the kind: predicted and scored
  value double, -- a rating, a price, seconds; null where none was given and the kind fills none in
  value_filled boolean, -- the value is the kind's, none was given
  price double, -- the value, of a kind whose value is one
  occurred_at timestamp,
  occurred_at_filled boolean, -- occurred_at is received_at, none was given
  received_at timestamp,
  request_id varchar, -- the list that caused it
  context varchar, -- JSON
  hour tinyint, -- 0 to 23
  weekday tinyint, -- 1 Monday to 7 Sunday
  excluded_by varchar -- the rule that keeps it from being learnt from; null: none
);

-- Grain: one row per user that an event or a user record named.
create table if not exists users (
  user_id varchar,
  first_at timestamp, -- their earliest event; null before any
  attributes varchar, -- JSON, of the newest record; '{}' before any
  attributes_filled boolean, -- no record has told any
  described_offset bigint -- that record
);

-- Grain: one row per item that an event or an item record named.
create table if not exists items (
  item_id varchar,
  first_at timestamp,
  title varchar, -- of the newest record; the item_id where it gives none
  title_filled boolean,
  categories varchar[], -- [] where it gives none
  categories_filled boolean,
  attributes varchar, -- JSON of all else
  attributes_filled boolean,
  described_offset bigint -- the newest record
);

-- Grain: one row per micro-batch, the ledger. Contiguous and disjoint.
create table if not exists micro_batches (
  log_id varchar,
  start_offset bigint,
  end_offset bigint, -- not included
  state varchar, -- stored, promoted, refused, skipped
  reason varchar, -- why refused or skipped
  checkpoint varchar, -- the newest that was learnt from it
  events bigint, -- accepted
  rejected bigint,
  interactions bigint, -- rows of that table
  repeated bigint, -- accepted, but an earlier record had the event_id
  late bigint, -- accepted, but occurred before something that an earlier record told of
  clock_at timestamp, -- the latest occurred_at of all accepted events before end_offset
  run_id varchar, -- that stored it first
  stored_at timestamp,
  trained_at timestamp,
  promoted_at timestamp,
  served_at timestamp -- the last live service worker had taken up a checkpoint that knows it
);

-- Grain: one row per micro-batch and system, tested before it was learnt from.
create table if not exists prequential_metrics (
  log_id varchar,
  start_offset bigint,
  end_offset bigint,
  checkpoint varchar, -- learnt from the micro-batch after the test
  system varchar, -- online, frozen, frozen_weights, popularity
  n bigint, -- scored events
  hit1 double, hit5 double, hit10 double, hit20 double, hit50 double,
  recall1 double, recall5 double, recall10 double, recall20 double, recall50 double,
  precision1 double, precision5 double, precision10 double, precision20 double, precision50 double,
  f1_1 double, f1_5 double, f1_10 double, f1_20 double, f1_50 double,
  ndcg10 double, ndcg20 double,
  mrr double,
  accuracy double,
  auc double,
  log_loss double,
  more varchar -- JSON of any other figure
);

-- Grain: one row per micro-batch and stage that was reached: stored, trained, promoted, served.
create table if not exists freshness (
  log_id varchar,
  start_offset bigint,
  end_offset bigint,
  stage varchar,
  n bigint, -- records
  p50_seconds double, -- from received_at to the stage
  p95_seconds double,
  p99_seconds double
);

-- Grain: one row per micro-batch and signal: what drift shows in.
create table if not exists signals (
  start_offset bigint,
  end_offset bigint,
  signal varchar, -- loss (1 - NDCG@10 before it was learnt), new users, new items, kind X
  value double, -- a mean or share over n events
  n bigint
);

-- Grain: one row per micro-batch, signal and detector that saw a change in it.
create table if not exists drift_alarms (
  start_offset bigint,
  end_offset bigint,
  signal varchar,
  detector varchar, -- ADWIN, Page-Hinkley
  before double, -- mean of the signal until then
  "now" double -- and over the last micro-batches
);

-- Grain: one row per item of a served list, judged again whenever feedback to the list comes.
create table if not exists impressions (
  list_offset bigint, -- of the list's record, which is written up to a minute after it was served
  request_id varchar,
  user_id varchar,
  served_at timestamp,
  checkpoint varchar, -- that made the list
  item_id varchar,
  position integer, -- 1 is the first
  source varchar, -- that proposed it
  score double,
  outcome varchar, -- acted, against, skipped (above what was acted on), below it, no answer
  acted varchar[], -- kinds of events that named the list and the item within a day
  acted_at timestamp
);
