-- The agent said which conversation it is in: what it says holds, whatever was asked for.
-- KEYS  1 session  2 events
-- ARGV  1 now  2 name  3 fence  4 id as seen  5 id that was asked for, or ''  6 host that the conversation is on
-- Returns 'ok'|'missing'|'stale'
-- @include prelude
-- @include session
local session, events = unpack(KEYS)
local now = clock(ARGV[1])
if redis.call('EXISTS', session) == 0 then return 'missing' end
if not holds(session, ARGV[3]) then return 'stale' end
redis.call('HSET', session, 'runtime_session', ARGV[4], 'session_host', ARGV[6])
if ARGV[5] ~= ARGV[4] then redis.call('HDEL', session, 'billed') end -- another conversation counts from its own beginning
if ARGV[5] ~= '' and ARGV[5] ~= ARGV[4] then
  emit(events, 'session.resume_mismatch', now, ARGV[2], cjson.encode({asked = ARGV[5], seen = ARGV[4]}))
end
return 'ok'
