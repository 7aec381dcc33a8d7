-- What the policy says of every row of `near` that is within reach. A rule depends on rows alone, never on the order in
-- which they came. The first rule that holds is named; null: learnt from. Most rows are their user's only one of that
-- item (the others' are `pairs`), of a user with few rows: no rule that looks at others can hold for them.

-- A window lies in two pieces of time at most, so one of them has more than half of what is too much.
with busy as (
  select person from near where weight != 0
  group by person, epoch_us(occurred_at) // $pace_us having count(*) > $few / 2
),

beside_others as (
  select log_offset, alone, within_reach from near where pair in (from pairs) or person in (from busy)
),

seen as (
  select
    log_offset, excluded_by, weight, value, occurred_at,
    lag(occurred_at) over again as before,
    lag(value) over again as value_before,
    -- What weighs between -1 and 0 was passed over: nobody did anything.
    count(*) filter (weight > 0 or weight <= -1) over burst as burst_rows,
    count(*) filter (weight > 0 or weight <= -1) over crawl as crawl_rows,
    count(*) filter (weight > 0) over later as later_for,
    count(*) filter (weight <= -1) over later as later_against
  from interactions
  where
    occurred_at >= $earliest and occurred_at <= $latest
    -- Not as a join, which would be made over all of the table while DuckDB thinks that it is empty.
    and (log_offset in (select log_offset from beside_others)) is true
  window
    again as (partition by user_id, item_id, event order by occurred_at, event_id),
    burst as (partition by user_id order by occurred_at range between $burst preceding and $burst following),
    crawl as (partition by user_id order by occurred_at range between $crawl preceding and $crawl following),
    later as (
      partition by user_id, item_id order by occurred_at range between current row and $contradiction following
    )
),

judged as (
  select
    log_offset, excluded_by,
    case
      when $repeat > interval 0 second and before = occurred_at and value is not distinct from value_before
        then 'duplicate'
      when $repeat > interval 0 second and occurred_at - before <= $repeat then 'near duplicate'
      when alone = 'crawler' or ($crawler_events > 0 and weight != 0 and crawl_rows > $crawler_events) then 'crawler'
      when $burst_events > 0 and weight != 0 and burst_rows > $burst_events then 'burst'
      when alone is not null then alone
      when
        $contradiction > interval 0 second and ((weight > 0 and later_against > 0) or (weight <= -1 and later_for > 0))
        then 'contradicted'
    end as rule
  from seen join beside_others using (log_offset) where within_reach
  union all
  select log_offset, excluded_by, alone from near anti join beside_others using (log_offset) where within_reach
)

select log_offset, rule from judged where rule is distinct from excluded_by
