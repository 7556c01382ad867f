-- Note which gate is shut for an item that could else be dispatched; its event comes when the gate is another one.
-- KEYS  1 items  2 events
-- ARGV  1 now  2 ref  3 gate  4 JSON of the refusal
-- Returns 'ok'|'same'|'missing'
-- @include prelude
local text = redis.call('HGET', KEYS[1], ARGV[2])
if not text then return 'missing' end
local item = cjson.decode(text)
if item.refusal == ARGV[4] then return 'same' end
local before = (item.refusal or '') ~= '' and cjson.decode(item.refusal).gate or ''
item.refusal = ARGV[4]
redis.call('HSET', KEYS[1], ARGV[2], cjson.encode(item))
if before ~= ARGV[3] then emit(KEYS[2], 'backlog.refused', clock(ARGV[1]), ARGV[2], ARGV[4]) end
return 'ok'
