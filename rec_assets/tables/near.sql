-- Grain: one row per interaction that the rows of offsets [$start, $end) from $first to $last can have to do with: those
-- of the same users within two windows of theirs, of which $reach is the longest; `within_reach` are those for which a
-- rule can have changed. $earliest and $latest are two windows from $first and $last, so that older parts of the table
-- are not read. No ids, which are long: rows that share a hash by chance are looked at in vain, nothing more.
with touched as (
  select user_id, min(occurred_at) as first_at, max(occurred_at) as last_at from interactions
  where log_offset >= $start and log_offset < $end and occurred_at >= $first and occurred_at <= $last
  group by user_id
)

select
  log_offset, excluded_by, occurred_at, interactions.weight, hash(user_id) as person, hash(user_id, item_id) as pair,
  occurred_at >= first_at - $reach and occurred_at <= last_at + $reach as within_reach,
  case
    when $agents != '' and regexp_matches(lower(context ->> 'user_agent'), $agents) then 'crawler'
    when kinds.value = 'seconds' and interactions.weight > 0 and interactions.value < $dwell_seconds
      then 'short dwell'
  end as alone
from interactions join touched using (user_id) left join kinds using (event)
where
  occurred_at >= $earliest and occurred_at <= $latest
  and occurred_at >= first_at - 2 * $reach and occurred_at <= last_at + 2 * $reach
