-- Note a measure that is taken about a silent turn, once for each stage of one silence.
-- KEYS  session, events
-- ARGV  name: of the agent  fence: of the turn  last_activity: as the caller read it, seconds since the epoch
--       stage: a number, higher for a stronger measure  stop: kind and reason for which the turn is to end, or ''
--       data: of the event, as JSON
-- Returns 'ok', 'missing', 'stale' (another turn, or none), 'active' (the agent has spoken since), or 'done':
--         this stage was noted before
-- @include prelude
-- @include session
local now = clock(time)
local f = redis.call('HMGET', session, 'state', 'lease_until', 'last_activity', 'stage')
if not f[1] then return 'missing' end
if not holds(session, fence) or tonumber(f[2]) <= now then return 'stale' end
if tonumber(f[3]) > tonumber(last_activity) then return 'active' end
if tonumber(f[4] or 0) >= tonumber(stage) then return 'done' end
redis.call('HSET', session, 'stage', stage)
if stop ~= '' then redis.call('HSETNX', session, 'stop', stop) end
emit(events, 'session.silent', now, name, data)
return 'ok'
