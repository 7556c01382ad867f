-- Note the conversation that an agent says it is in, which holds whatever was asked for.
-- KEYS  session, events
-- ARGV  name: of the agent  fence: of the turn  seen: id of the conversation  asked: id that was asked for, or ''
--       host: that the conversation is on
-- Returns 'ok', 'missing', or 'stale' (another turn, or none)
-- @include prelude
-- @include session
local now = clock(time)
if redis.call('EXISTS', session) == 0 then return 'missing' end
if not holds(session, fence) then return 'stale' end
redis.call('HSET', session, 'runtime_session', seen, 'session_host', host)
-- Another conversation counts from its own beginning.
if asked ~= seen then redis.call('HDEL', session, 'billed', 'billed_cache') end
if asked ~= '' and asked ~= seen then
  emit(events, 'session.resume_mismatch', now, name, cjson.encode({asked = asked, seen = seen}))
end
return 'ok'
