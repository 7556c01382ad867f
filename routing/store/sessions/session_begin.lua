-- Win the lease of a session's next turn. With `start`, a session that does not exist, or is over, begins a new life.
-- KEYS  session, sessions, turns, events, pulse
-- ARGV  name: of the agent  lease_seconds  worker: that holds the lease  retention_seconds
--       call_id: of this call; with the same one it may be made again
--       fields: JSON list of fields and values that a life begins with, or goes on with
-- FLAGS start: begin a life where there is none
-- Returns {'ok', field, value, …}: the whole record; or {'busy'} (the other turn's lease is alive), {'missing'}
--         or {'over'}
-- @include prelude
-- @include session
-- @include lease
local now = clock(time)
local f = redis.call('HMGET', session, 'state', 'lease_until', 'turn')
local state = f[1]
local function begun()
  local all = redis.call('HGETALL', session)
  table.insert(all, 1, 'ok')
  return all
end

if f[2] and call_id ~= '' and f[3] == call_id then return begun() end -- the answer to the first call was lost
local over = state == 'completed' or state == 'zombie'
if f[2] and not is_lost(pulse, tonumber(f[2]), now) then return {'busy'} end
if not start then
  if not state then return {'missing'} end
  if over then return {'over'} end
end
local ends = now + tonumber(lease_seconds)
-- The fence grows even where an expired lease is taken over: its holder's writes are refused from now on.
lose_turn(session, turns, name) -- its lease ran out, if there is any
redis.call('HINCRBY', session, 'fence', 1)
redis.call('HSET', session, 'v', '1', 'name', name, 'lease_until', stamp(ends), 'holder', worker, 'turn', call_id)
if start then redis.call('HSET', session, unpack(cjson.decode(fields))) end
-- A new life: what the last one counted and waited for is gone, its fence and conversation are not.
if not state or over then
  redis.call('HDEL', session, 'retries', 'awaiting', 'finished_at', 'terminal_mail')
  redis.call('HSET', session, 'last_activity', stamp(now), 'reason', '', 'gave_up', over and state or '')
  redis.call('HINCRBY', session, 'life', 1)
  redis.call('HSETNX', session, 'created_at', stamp(now))
  enter(session, sessions, name, 'booting', now, retention_seconds)
  tell(events, now, name, session, state, 'booting', '')
end
redis.call('EXPIRE', session, retention_seconds)
redis.call('ZADD', turns, ends, name)
return begun()
