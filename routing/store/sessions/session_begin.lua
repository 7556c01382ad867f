-- Win the lease of a session's next turn. A session that is not there, or is over, begins a life if asked to.
-- KEYS  1 session  2 sessions  3 turns  4 events
-- ARGV  1 now  2 name  3 lease, seconds  4 worker  5 'start' (begin a life when there is none), or ''
--       6 retention, seconds  7 JSON list of fields and values that a life begins with, or goes on with
-- Returns {'ok', field, value, …} | {'busy', end of the other turn's lease} | {'missing'} | {'over', state}
-- @include prelude
-- @include session
local session, sessions, turns, events = unpack(KEYS)
local now, name, retention = clock(ARGV[1]), ARGV[2], tonumber(ARGV[6])
local f = redis.call('HMGET', session, 'state', 'lease_until')
local state = f[1]
local over = state == 'completed' or state == 'zombie'
if f[2] and tonumber(f[2]) > now then return {'busy', f[2]} end
if ARGV[5] ~= 'start' then
  if not state then return {'missing'} end
  if over then return {'over', state} end
end
local ends = now + tonumber(ARGV[3])
lose_turn(session, turns, name) -- its lease ran out, if there is any
redis.call('HINCRBY', session, 'fence', 1)
redis.call('HSET', session, 'v', '1', 'name', name, 'lease_until', stamp(ends), 'holder', ARGV[4])
if ARGV[5] == 'start' then redis.call('HSET', session, unpack(cjson.decode(ARGV[7]))) end
if not state or over then
  redis.call('HDEL', session, 'retries', 'awaiting', 'finished_at', 'terminal_mail')
  redis.call('HSET', session, 'last_activity', stamp(now), 'reason', '', 'gave_up', over and state or '')
  redis.call('HINCRBY', session, 'life', 1)
  redis.call('HSETNX', session, 'created_at', stamp(now))
  enter(session, sessions, name, 'booting', now, retention)
  tell(events, now, name, session, state, 'booting', '')
end
redis.call('EXPIRE', session, retention)
redis.call('ZADD', turns, ends, name)
local all = redis.call('HGETALL', session)
table.insert(all, 1, 'ok')
return all
