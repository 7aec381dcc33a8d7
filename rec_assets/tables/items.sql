-- The newest description by offset and the earliest event of each item that the chunk names.
merge into items
using (
  select
    item_id,
    min(occurred_at) as first_at,
    arg_max(description, described_offset) as description,
    max(described_offset) as described_offset
  from (
    select item_id, occurred_at, null as description, null as described_offset from events where item_id is not null
    union all
    select item_id, null, {'title': title, 'categories': categories, 'attributes': attributes}, "offset"
    from item_records
  )
  group by item_id
) as told
on items.item_id = told.item_id
when matched
and (
  told.first_at < items.first_at
  or (told.first_at is not null and items.first_at is null)
  or told.described_offset >= coalesce(items.described_offset, -1)
)
then update set
  first_at = least(told.first_at, items.first_at),
  title = case
    when told.described_offset >= coalesce(items.described_offset, -1) then told.description.title else items.title
  end,
  categories = case
    when told.described_offset >= coalesce(items.described_offset, -1) then told.description.categories
    else items.categories
  end,
  attributes = case
    when told.described_offset >= coalesce(items.described_offset, -1) then told.description.attributes
    else items.attributes
  end,
  described_offset = greatest(told.described_offset, items.described_offset)
when not matched then insert (item_id, first_at, title, categories, attributes, described_offset)
values (
  told.item_id, told.first_at, told.description.title, told.description.categories, told.description.attributes,
  told.described_offset
)
