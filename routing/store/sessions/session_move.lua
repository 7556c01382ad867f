-- Move a session to another state: a compare-and-set that leaves the turn's lease alone, unless that ran out.
-- KEYS  session, sessions, turns, events, pulse
-- ARGV  name: of the agent  to: the new state  allowed: states that it may come from, separated by commas  reason
--       retention_seconds  fence: of the turn that the caller holds, or ''
-- FLAGS expired: only when no turn holds it; what a turn with an expired lease left is removed
-- Returns {'ok'}, {'missing'}, {'stale'} (the caller holds no turn), {'alive'} (a turn holds it), or
--         {'state', its state}: that does not allow it
-- @include prelude
-- @include session
-- @include lease
local now = clock(time)
local f = redis.call('HMGET', session, 'state', 'lease_until')
if not f[1] then
  redis.call('ZREM', turns, name)
  redis.call('ZREM', sessions, name)
  return {'missing'}
end
if fence == '' and to ~= 'stalled' and to ~= 'zombie' then return {'stale'} end -- other states are for a turn's holder
if fence ~= '' and not holds(session, fence) then return {'stale'} end
if expired then
  if f[2] and not is_lost(pulse, tonumber(f[2]), now) then return {'alive'} end
  lose_turn(session, turns, name)
end
if not may_come(f[1], allowed) then return {'state', f[1]} end
redis.call('HSET', session, 'reason', reason)
enter(session, sessions, name, to, now, retention_seconds)
tell(events, now, name, session, f[1], to, reason)
return {'ok'}
