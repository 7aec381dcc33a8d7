-- The newest attributes by offset and the earliest event of each user that the chunk names.
merge into users
using (
  select
    user_id,
    min(occurred_at) as first_at,
    arg_max(attributes, described_offset) as attributes,
    max(described_offset) as described_offset
  from (
    select user_id, occurred_at, null as attributes, null as described_offset from events
    union all
    select user_id, null, attributes, "offset" from user_records
  )
  group by user_id
) as told
on users.user_id = told.user_id
when matched
and (
  told.first_at < users.first_at
  or (told.first_at is not null and users.first_at is null)
  or told.described_offset >= coalesce(users.described_offset, -1)
)
then update set
  first_at = least(told.first_at, users.first_at),
  attributes = case
    when told.described_offset >= coalesce(users.described_offset, -1) then told.attributes else users.attributes
  end,
  attributes_filled = users.attributes_filled and told.described_offset is null,
  described_offset = greatest(told.described_offset, users.described_offset)
when not matched then insert (user_id, first_at, attributes, attributes_filled, described_offset)
values (
  told.user_id, told.first_at, coalesce(told.attributes, '{}'), told.attributes is null, told.described_offset
)
