-- Accept a delivery of a forge: remember it, and list the issue that it is about to be read again, in one step.
-- A note that is damaged, or of another form, is started afresh: hints only help.
-- KEYS  delivery, intake, intake_notes, paused, events
-- ARGV  issue  hint: what this delivery said, as JSON; no two deliveries have the same
--       seen_seconds: for which the delivery is remembered  most_issues: that may wait
--       most_hints: that are kept for an issue  event: its data as JSON
-- Returns 'ok', 'duplicate', 'paused' (nothing is noted; the next poll finds the issue) or 'full'
-- @include prelude
if redis.call('EXISTS', delivery) == 1 then return 'duplicate' end
if redis.call('EXISTS', paused) == 1 then return 'paused' end
local noted = redis.call('HGET', intake_notes, issue)
if not noted and redis.call('ZCARD', intake) >= tonumber(most_issues) then return 'full' end
local now = clock(time)
local read, note = pcall(cjson.decode, noted or '')
if not (read and type(note) == 'table' and note.v == 1 and type(note.hints) == 'table') then
  note = {v = 1, hints = {}}
end
table.insert(note.hints, cjson.decode(hint))
if #note.hints > tonumber(most_hints) then table.remove(note.hints, 1) end
redis.call('HSET', intake_notes, issue, cjson.encode(note))
redis.call('ZADD', intake, 'NX', now, issue)
redis.call('SET', delivery, issue, 'EX', seen_seconds)
emit(events, 'webhook.accepted', now, issue, event)
return 'ok'
