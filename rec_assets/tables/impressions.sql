-- Grain: one row per item of a served list. What was done about the lists that this range served or answered; feedback
-- that comes later, or before its list, judges the list anew. $earliest and $latest hold all of these lists and what was
-- done about them, so that the rest of the tables is not read.
with asked as (
  select request_id from impressions where list_offset >= $start and list_offset < $end
  union
  select request_id from interactions where log_offset >= $start and log_offset < $end and request_id is not null
),

shown as (
  select list_offset, request_id, item_id, position, served_at from impressions semi join asked using (request_id)
  where served_at >= $earliest and served_at <= $latest
),

done as (
  select
    shown.list_offset, shown.item_id, list(distinct event order by event) as acted, min(received_at) as acted_at,
    max(weight) as most, min(weight) as least
  from shown join interactions using (request_id, item_id)
  where
    (weight >= 0 or weight <= -1)  -- between them it was passed over, which the positions tell
    and received_at >= $earliest - $clocks and received_at <= $latest + $window
    and received_at >= served_at - $clocks and received_at <= served_at + $window
  group by shown.list_offset, shown.item_id
),

judged as (
  select
    shown.list_offset, shown.item_id, acted, acted_at,
    case
      when least < 0 then 'against'
      when acted is not null then 'acted'
      when position < max(position) filter (acted is not null) over (partition by shown.list_offset) then 'skipped'
      when max(position) filter (acted is not null) over (partition by shown.list_offset) is not null then 'below'
      else 'no answer'
    end as outcome
  from shown left join done using (list_offset, item_id)
)

update impressions set outcome = judged.outcome, acted = judged.acted, acted_at = judged.acted_at
from judged where impressions.list_offset = judged.list_offset and impressions.item_id = judged.item_id
