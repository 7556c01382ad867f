-- People no longer want the work on an item in progress: it leaves the queue when its job has ended.
-- KEYS  backlog: issue -> its record
--       events
-- ARGV  ref: the issue  reason: what they did, in words
-- Returns the job at work on it, '' when none is known yet, or nothing when the item is not in progress
-- @include prelude
local text = redis.call('HGET', backlog, ref)
if not text then return false end
local item = cjson.decode(text)
if item.state ~= 'in_progress' then return false end
local known = (item.unwanted or '') ~= ''
item.unwanted, item.again = reason, ''
redis.call('HSET', backlog, ref, cjson.encode(item))
if not known then
  emit(events, 'backlog.unwanted', clock(time), ref, cjson.encode({reason = reason, job = item.job}))
end
return item.job
