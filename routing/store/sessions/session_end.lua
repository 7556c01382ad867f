-- A turn is over: its state, what it consumed and its lease, in one step. The lease is given back in any case.
-- KEYS  1 session  2 sessions  3 turns  4 events  5 job (or the session again)
-- ARGV  1 now  2 name  3 fence  4 new state, or '' when no turn was run  5 states it may come from, by commas
--       6 reason  7 retention, seconds  8 JSON list of fields and values  9 cost in USD
--       10 flags, separated by commas: 'retry' (it counts as a retry), 'job' (it counts for the job),
--          'mail missing' (it should have sent terminal mail), 'forget' (its conversation cannot be resumed)
--       11 seconds that it took
-- Returns 'ok'|'missing'|'stale'|the state that does not allow it
-- @include prelude
-- @include session
local session, sessions, turns, events, job = unpack(KEYS)
local now, name, to = clock(ARGV[1]), ARGV[2], ARGV[4]
local flags = ',' .. ARGV[10] .. ','
local function flag(word) return string.find(flags, ',' .. word .. ',', 1, true) end
local f = redis.call('HMGET', session, 'state', 'runtime_session')
if not f[1] then
  redis.call('ZREM', turns, name)
  redis.call('ZREM', sessions, name)
  return 'missing'
end
if not holds(session, ARGV[3]) then return 'stale' end
leave_turn(session, turns, name)
if to == '' then return 'ok' end
redis.call('HINCRBY', session, 'turns', 1)
redis.call('HINCRBYFLOAT', session, 'cost_usd', ARGV[9])
if flag('job') and redis.call('EXISTS', job) == 1 then
  redis.call('HINCRBY', job, 'turns', 1)
  redis.call('HINCRBYFLOAT', job, 'spent_usd', ARGV[9])
  redis.call('HINCRBYFLOAT', job, 'spent_seconds', ARGV[11])
end
redis.call('HSET', session, 'last_activity', stamp(now), 'reason', ARGV[6], unpack(cjson.decode(ARGV[8])))
if flag('retry') then redis.call('HINCRBY', session, 'retries', 1) end
if flag('forget') and f[2] then
  redis.call('HDEL', session, 'runtime_session', 'session_host', 'billed')
  emit(events, 'session.lost', now, name, cjson.encode({session = f[2], reason = ARGV[6]}))
end
if flag('mail missing') then
  emit(events, 'session.terminal_mail_missing', now, name, cjson.encode({reason = ARGV[6]}))
end
if f[1] == to and to == 'zombie' then return 'ok' end -- the watchdog was first
if not may_come(f[1], ARGV[5]) then return f[1] end
enter(session, sessions, name, to, now, ARGV[7])
tell(events, now, name, session, f[1], to, ARGV[6])
return 'ok'
