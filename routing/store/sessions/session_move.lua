-- Move a session to another state: a compare-and-set that touches no lease, unless it ran out.
-- KEYS  1 session  2 sessions  3 turns  4 events
-- ARGV  1 now  2 name  3 new state  4 states it may come from, separated by commas  5 reason  6 retention, seconds
--       7 fence of the turn that the caller holds, or ''  8 'expired' (only when no turn holds it: what an expired
--         one left is removed), or ''
-- Returns 'ok'|'missing'|'stale'|'alive'|the state that does not allow it
-- @include prelude
-- @include session
local session, sessions, turns, events = unpack(KEYS)
local now, name, to = clock(ARGV[1]), ARGV[2], ARGV[3]
local f = redis.call('HMGET', session, 'state', 'lease_until')
if not f[1] then
  redis.call('ZREM', turns, name)
  redis.call('ZREM', sessions, name)
  return 'missing'
end
if ARGV[7] == '' and to ~= 'stalled' and to ~= 'zombie' then return 'stale' end -- only a turn's holder may
if ARGV[7] ~= '' and not holds(session, ARGV[7]) then return 'stale' end
if ARGV[8] == 'expired' then
  if f[2] and tonumber(f[2]) > now then return 'alive' end
  lose_turn(session, turns, name)
end
if not may_come(f[1], ARGV[4]) then return f[1] end
redis.call('HSET', session, 'reason', ARGV[5])
enter(session, sessions, name, to, now, ARGV[6])
tell(events, now, name, session, f[1], to, ARGV[5])
return 'ok'
