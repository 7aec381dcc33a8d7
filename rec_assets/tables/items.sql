-- The newest description by offset and the earliest event of each item that the chunk names. What a description lacks
-- is filled in and marked.
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
    select
      item_id, null,
      {
        'title': coalesce(title, item_id), 'title_filled': title is null,
        'categories': categories, 'categories_filled': len(categories) = 0, 'attributes': attributes
      },
      "offset"
    from item_records
  )
  group by item_id
) as told
on items.item_id = told.item_id
when matched and told.described_offset >= coalesce(items.described_offset, -1) then update set
  first_at = least(told.first_at, items.first_at),
  title = told.description.title,
  title_filled = told.description.title_filled,
  categories = told.description.categories,
  categories_filled = told.description.categories_filled,
  attributes = told.description.attributes,
  attributes_filled = false,
  described_offset = told.described_offset
when matched and (told.first_at < items.first_at or (told.first_at is not null and items.first_at is null))
then update set first_at = told.first_at
when not matched then insert (
  item_id, first_at, title, title_filled, categories, categories_filled, attributes, attributes_filled,
  described_offset
)
values (
  told.item_id, told.first_at, coalesce(told.description.title, told.item_id),
  coalesce(told.description.title_filled, true), coalesce(told.description.categories, []),
  coalesce(told.description.categories_filled, true), coalesce(told.description.attributes, '{}'),
  told.description is null, told.described_offset
)
