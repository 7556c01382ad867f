-- Let an item in progress stand aside, because its pushed work waits for others: it holds none of its repository's
-- places then. Or have it take one again, whether one is free or not: its job is there, and goes on. The first item that
-- waits for a green main branch says so in an event, and the last one that no longer does.
-- Not so while a look at the main branch has found it red: then people know, and the look says when it is green.
-- KEYS  main_look: at the main branch of its repository  backlog: issue -> its record
--       backlog_working: items in progress  events
-- ARGV  ref: the issue  job: at work on it  reason: what it waits for, '' to take a place again
--       most: the most items of its repository that may stand aside
-- FLAGS in_review: what it waits for is that a person merges its work  main_red: it is a green main branch
-- Returns 1 when it stands as asked; 0 when it is not in progress, has another job, or too many stand aside
-- @include prelude
local now = clock(time)
local text = redis.call('HGET', backlog, ref)
if not text then return 0 end
local item = cjson.decode(text)
if item.state ~= 'in_progress' or item.job ~= job then return 0 end
local review = in_review and '1' or ''
if review ~= (item.in_review or '') then
  item.in_review = review
  item.reason = reason ~= '' and reason or 'its job is queued or at work'
  redis.call('HSET', backlog, ref, cjson.encode(item))
end
if reason == (item.aside or '') then return 1 end
local repository, aside, red = string.match(ref, '^(.*)#'), 0, 0
for _, other in ipairs(redis.call('SMEMBERS', backlog_working)) do
  if other ~= ref and string.match(other, '^(.*)#') == repository then
    local read, known = pcall(cjson.decode, redis.call('HGET', backlog, other) or '')
    if read and type(known) == 'table' and (known.aside or '') ~= '' then
      aside = aside + 1
      if known.main_red then red = red + 1 end
    end
  end
end
if reason ~= '' and (item.aside or '') == '' and aside >= tonumber(most) then return 0 end
local was_red = item.main_red
item.aside = reason
item.reason = reason ~= '' and reason or 'its job is queued or at work'
item.main_red = main_red and '1' or nil
redis.call('HSET', backlog, ref, cjson.encode(item))
if (redis.call('HGET', main_look, 'reason') or '') ~= '' then return 1 end
if red == 0 and main_red and not was_red then
  emit(events, 'main.red', now, repository, cjson.encode({issue = ref, reason = reason}))
elseif red == 0 and was_red and not main_red then
  emit(events, 'main.green', now, repository, cjson.encode({issue = ref}))
end
return 1
