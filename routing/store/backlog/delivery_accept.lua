-- Hand an issue over to whoever looks at issues again, and remember the delivery that told of it, in one step.
-- A note that is damaged, or of another form, is begun anew: hints are only hints.
-- KEYS  1 delivery  2 intake  3 intake_notes  4 paused  5 events
-- ARGV  1 now  2 issue  3 hint as JSON, unlike that of any other delivery
--       4 seconds for which the delivery is remembered  5 most issues  6 most hints an issue  7 event data
-- Returns 'ok', 'duplicate', 'paused' or 'full'
-- @include prelude
local delivery, intake, notes, paused, events = unpack(KEYS)
local issue = ARGV[2]
if redis.call('EXISTS', delivery) == 1 then return 'duplicate' end
if redis.call('EXISTS', paused) == 1 then return 'paused' end
local noted = redis.call('HGET', notes, issue)
if not noted and redis.call('ZCARD', intake) >= tonumber(ARGV[5]) then return 'full' end
local now = clock(ARGV[1])
local read, note = pcall(cjson.decode, noted or '')
if not (read and type(note) == 'table' and note.v == 1 and type(note.hints) == 'table') then
  note = {v = 1, hints = {}}
end
table.insert(note.hints, cjson.decode(ARGV[3]))
if #note.hints > tonumber(ARGV[6]) then table.remove(note.hints, 1) end
redis.call('HSET', notes, issue, cjson.encode(note))
redis.call('ZADD', intake, 'NX', now, issue)
redis.call('SET', delivery, issue, 'EX', ARGV[4])
emit(events, 'webhook.accepted', now, issue, ARGV[7])
return 'ok'
