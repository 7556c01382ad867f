-- A turn's process has been started: register it, so that it can be ended, and go to `in_turn`.
-- KEYS  1 session  2 sessions  3 events
-- ARGV  1 now  2 name  3 fence  4 states it may be in, separated by commas  5 retention, seconds
--       6 JSON list of fields and values of the registration  7 why an earlier conversation is not resumed, or ''
-- Returns 'ok'|'missing'|'stale'|the state that does not allow it
-- @include prelude
-- @include session
local session, sessions, events = unpack(KEYS)
local now, name = clock(ARGV[1]), ARGV[2]
local f = redis.call('HMGET', session, 'state', 'lease_until', 'runtime_session')
if not f[1] then return 'missing' end
if not holds(session, ARGV[3]) or tonumber(f[2]) <= now then return 'stale' end
if not may_come(f[1], ARGV[4]) then return f[1] end
redis.call('HSET', session, 'spawned_at', stamp(now), 'last_activity', stamp(now), unpack(cjson.decode(ARGV[6])))
redis.call('HDEL', session, 'awaiting', 'gave_up', 'left')
if ARGV[7] ~= '' then
  redis.call('HDEL', session, 'runtime_session', 'session_host', 'billed')
  emit(events, 'session.lost', now, name, cjson.encode({session = f[3] or '', reason = ARGV[7]}))
end
enter(session, sessions, name, 'in_turn', now, ARGV[5])
tell(events, now, name, session, f[1], 'in_turn', '')
return 'ok'
