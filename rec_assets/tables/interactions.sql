-- Grain: one row per accepted event with an item. $clock: the latest occurred_at of all events before this chunk;
-- $first and $last: the earliest and latest of the chunk, so that looking for repeated ids costs the same in a large table.
with told as (
  select
    *,
    coalesce(
      occurred_at
      < greatest($clock, max(occurred_at) over (order by "offset" rows between unbounded preceding and 1 preceding)),
      false
    ) as late
  from events
)

select
  "offset" as log_offset, event_id, user_id, item_id, event, kinds.weight, kinds.target,
  case when not isnan(value) then value end as value,
  occurred_at, received_at, late, request_id, context,
  hour(occurred_at) as hour, isodow(occurred_at) as weekday, cast(null as varchar) as excluded_by
from told
join kinds using (event)
where
  item_id is not null
  and not exists (
    select 1 from interactions as stored
    where stored.event_id = told.event_id and stored.occurred_at >= $first and stored.occurred_at <= $last
  )
qualify row_number() over (partition by event_id order by "offset") = 1
order by "offset"
