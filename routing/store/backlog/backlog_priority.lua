-- A person sets an item's priority, or leaves it to what the issue says again; among ready items its place changes.
-- KEYS  backlog: issue -> its record  backlog_ready: list of ready items  events
-- ARGV  ref: the issue  wished: '0' to '9', or '' for what the issue says  reason: who did that, in words
-- Returns 'ok', 'same' (it was so before), 'missing', or 'completed'
-- @include prelude
-- @include wish
local now = clock(time)
local text = redis.call('HGET', backlog, ref)
if not text then return 'missing' end
local item = cjson.decode(text)
if item.state == 'completed' then return 'completed' end
if (item.wished or '') == wished then return 'same' end
item.wished = wished
local place = ready_place(item.place, item)
if item.state == 'ready' then
  redis.call('ZREM', backlog_ready, item.place)
  redis.call('ZADD', backlog_ready, 0, place)
end
item.place = place
redis.call('HSET', backlog, ref, cjson.encode(item))
emit(events, 'backlog.priority', now, ref,
  cjson.encode({priority = wished ~= '' and wished or item.priority, reason = reason}))
return 'ok'
