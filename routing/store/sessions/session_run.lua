-- A turn's process was started: register it, so that it can be ended by others, and go to `in_turn`.
-- KEYS  session, sessions, events
-- ARGV  name: of the agent  fence: of the turn  allowed: states that it may be in, separated by commas
--       retention_seconds  process: JSON list of fields and values of the registration
--       lost: why an earlier conversation is not resumed, or ''
-- Returns {'ok'}, {'missing'}, {'stale'} (another turn, or none), or {'state', its state}: that does not allow it
-- @include prelude
-- @include session
local now = clock(time)
local f = redis.call('HMGET', session, 'state', 'lease_until', 'runtime_session')
if not f[1] then return {'missing'} end
if not holds(session, fence) then return {'stale'} end
if not may_come(f[1], allowed) then return {'state', f[1]} end
redis.call('HSET', session, 'spawned_at', stamp(now), 'last_activity', stamp(now), unpack(cjson.decode(process)))
redis.call('HDEL', session, 'awaiting', 'gave_up', 'left')
if lost ~= '' then
  redis.call('HDEL', session, 'runtime_session', 'session_host', 'billed', 'billed_cache')
  emit(events, 'session.lost', now, name, cjson.encode({session = f[3] or '', reason = lost}))
end
enter(session, sessions, name, 'in_turn', now, retention_seconds)
tell(events, now, name, session, f[1], 'in_turn', '')
return {'ok'}
