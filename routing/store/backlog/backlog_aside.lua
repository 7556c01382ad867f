-- Let an item in progress stand aside, because its pushed work waits for others: it holds none of its repository's
-- places then. Or have it take one again, whether one is free or not: its job is there, and goes on. The first item that
-- waits for a green main branch says so in an event, and the last one that no longer does.
-- Not so while a look at the main branch has found it red: then people know, and the look says when it is green.
-- KEYS  main_look: at the main branch of its repository  backlog: issue -> its record
--       backlog_working: items in progress  events
-- ARGV  ref: the issue  job: at work on it  reason: what it waits for, '' to take a place again
--       most: the most items of its repository that may stand aside: those that wait for a green main branch, and
--         all others, are counted apart. What they wait for is noted also where they keep their place
-- FLAGS in_review: what it waits for is that a person merges its work  main_red: it is a green main branch
-- Returns 1 when it stands as asked; 0 when it is not in progress, has another job, or too many stand aside
-- @include prelude
-- @include redmain
-- @include place
local stands = stand(ref, job, reason, tonumber(most), in_review and '1' or '', main_red and true or false, clock(time))
return stands and 1 or 0
