-- Note that something was done about a silent turn, once for each stage of one silence.
-- KEYS  1 session  2 events
-- ARGV  1 now  2 name  3 fence  4 last activity as it was seen  5 stage, a number above the last one
--       6 kind and reason for which the turn is to end, or ''  7 event data
-- Returns 'ok'|'missing'|'stale' (another turn, or none)|'active' (it has spoken since)|'done'
-- @include prelude
-- @include session
local session, events = unpack(KEYS)
local now = clock(ARGV[1])
local f = redis.call('HMGET', session, 'state', 'lease_until', 'last_activity', 'stage')
if not f[1] then return 'missing' end
if not holds(session, ARGV[3]) or tonumber(f[2]) <= now then return 'stale' end
if tonumber(f[3]) > tonumber(ARGV[4]) then return 'active' end
if tonumber(f[4] or 0) >= tonumber(ARGV[5]) then return 'done' end
redis.call('HSET', session, 'stage', ARGV[5])
if ARGV[6] ~= '' then redis.call('HSETNX', session, 'stop', ARGV[6]) end
emit(events, 'session.silent', now, ARGV[2], ARGV[7])
return 'ok'
