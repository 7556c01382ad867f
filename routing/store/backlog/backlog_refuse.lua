-- Note which gate is shut for an item that could otherwise be dispatched. An event tells when it is another gate.
-- KEYS  backlog: issue -> its record  events
-- ARGV  ref: the issue  gate  refusal: as JSON
-- Returns 1; 0 when this is known already, or the issue is not an item
-- @include prelude
local text = redis.call('HGET', backlog, ref)
if not text then return 0 end
local item = cjson.decode(text)
if item.refusal == refusal then return 0 end
local before = (item.refusal or '') ~= '' and cjson.decode(item.refusal).gate or ''
item.refusal = refusal
redis.call('HSET', backlog, ref, cjson.encode(item))
if before ~= gate then emit(events, 'backlog.refused', clock(time), ref, refusal) end
return 1
