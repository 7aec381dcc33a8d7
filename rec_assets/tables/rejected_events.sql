-- Grain: one row per record of the log that was not accepted.
select "offset" as log_offset, rule, field, value, reason from rejected
