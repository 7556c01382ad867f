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
local now = clock(time)
local text = redis.call('HGET', backlog, ref)
if not text then return 0 end
local item = cjson.decode(text)
if item.state ~= 'in_progress' or item.job ~= job then return 0 end
local review, was_red, is_red = in_review and '1' or '', item.main_red == '1', main_red and true or false
local noted = review == (item.in_review or '') and is_red == was_red
if noted and reason == (item.aside or '') then return 1 end
local others, aside = beside(ref), 0
for _, known in ipairs(others) do
  if (known.aside or '') ~= '' and (known.main_red == '1') == is_red then aside = aside + 1 end
end
local full = reason ~= '' and (item.aside or '') == '' and aside >= tonumber(most)
if full and noted then return 0 end
item.in_review, item.main_red = review, is_red and '1' or nil
if not full then item.aside = reason end
item.reason = reason ~= '' and reason or 'its job is queued or at work'
redis.call('HSET', backlog, ref, cjson.encode(item))
tell_of_main(ref, was_red, is_red, others, now, reason)
return full and 0 or 1
