-- Grain: one row per accepted event with an item. $first and $last: the earliest and latest occurred_at of the chunk,
-- so that looking for repeated ids costs the same in a large table.
with weighed as (
  select
    events.*, weight, target, fill, kinds.value as meaning, coalesce(events.value < kinds.against_below, false) as against
  from events join kinds using (event)
)

select
  "offset" as log_offset, source, event_id, user_id, item_id, event,
  case when against then -abs(weight) else weight end as weight,
  target and weight > 0 and not against as target,
  coalesce(value, fill) as value, value is null and fill is not null as value_filled,
  case when meaning = 'price' then coalesce(value, fill) end as price,
  occurred_at, not dated as occurred_at_filled, received_at, request_id, context,
  hour(occurred_at) as hour, isodow(occurred_at) as weekday, cast(null as varchar) as excluded_by
from weighed
anti join repeats using ("offset")
anti join (
  select event_id from interactions where occurred_at >= $first and occurred_at <= $last
) as stored using (event_id)
where item_id is not null
