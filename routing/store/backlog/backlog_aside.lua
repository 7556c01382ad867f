-- Let an item in progress stand aside, because its pushed work waits for others: it holds none of its repository's
-- places then. Or have it take one again, whether one is free or not: its job is there, and goes on.
-- KEYS  backlog: issue -> its record  backlog_working: items in progress
-- ARGV  ref: the issue  job: at work on it  reason: what it waits for, '' to take a place again
--       most: the most items of its repository that may stand aside
-- FLAGS in_review: what it waits for is that a person merges its work
-- Returns 1 when it stands as asked; 0 when it is not in progress, has another job, or too many stand aside
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
if reason ~= '' and (item.aside or '') == '' then
  local repository, aside = string.match(ref, '^(.*)#'), 0
  for _, other in ipairs(redis.call('SMEMBERS', backlog_working)) do
    if string.match(other, '^(.*)#') == repository then
      local read, known = pcall(cjson.decode, redis.call('HGET', backlog, other) or '')
      if read and type(known) == 'table' and (known.aside or '') ~= '' then aside = aside + 1 end
    end
  end
  if aside >= tonumber(most) then return 0 end
end
item.aside = reason
item.reason = reason ~= '' and reason or 'its job is queued or at work'
redis.call('HSET', backlog, ref, cjson.encode(item))
return 1
