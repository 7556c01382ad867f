-- A turn is over: write its state, what it consumed, and give its lease back, in one step. The lease is given back
-- even where the state does not allow the move.
-- KEYS  session, job: that the turn counts for (or the session again), sessions, turns, events
-- ARGV  name: of the agent  fence: of the turn  to: the new state, or '' when no turn was run
--       allowed: states that it may come from, separated by commas  reason  retention_seconds
--       fields: JSON list of fields and values to write  cost_usd, seconds: of the turn alone
--       job_fence: of the job's lease  finished: JSON of a turn that did its work, which the job keeps until it is
--       delivered; '' for any other
-- FLAGS retry: it counts as a retry  counts: what it consumed is added to the job
--       mail_missing: it should have sent the mail that ends its task  forget: its conversation cannot be resumed
-- Returns {'ok'}, {'missing'}, {'stale'} (another turn, or none), or {'state', its state}: that does not allow it
-- @include prelude
-- @include session
local now = clock(time)
local f = redis.call('HMGET', session, 'state', 'runtime_session')
if not f[1] then
  redis.call('ZREM', turns, name)
  redis.call('ZREM', sessions, name)
  return {'missing'}
end
if not holds(session, fence) then return {'stale'} end
leave_turn(session, turns, name) -- in any case, or the session would be busy until the lease runs out
if to == '' then return {'ok'} end
redis.call('HINCRBY', session, 'turns', 1)
redis.call('HINCRBYFLOAT', session, 'cost_usd', cost_usd)
-- The job's record may be gone; an increment must not create it again.
if counts and redis.call('EXISTS', job) == 1 then
  redis.call('HINCRBY', job, 'turns', 1)
  redis.call('HINCRBYFLOAT', job, 'spent_usd', cost_usd)
  redis.call('HINCRBYFLOAT', job, 'spent_seconds', seconds)
  if finished ~= '' and redis.call('HGET', job, 'fence') == job_fence then
    redis.call('HSET', job, 'finished', finished)
  end
end
redis.call('HSET', session, 'last_activity', stamp(now), 'reason', reason, unpack(cjson.decode(fields)))
if retry then redis.call('HINCRBY', session, 'retries', 1) end
if forget and f[2] then
  redis.call('HDEL', session, 'runtime_session', 'session_host', 'billed')
  emit(events, 'session.lost', now, name, cjson.encode({session = f[2], reason = reason}))
end
if mail_missing then
  emit(events, 'session.terminal_mail_missing', now, name, cjson.encode({reason = reason}))
end
if f[1] == to and to == 'zombie' then return {'ok'} end -- the watchdog was first
if not may_come(f[1], allowed) then return {'state', f[1]} end
enter(session, sessions, name, to, now, retention_seconds)
tell(events, now, name, session, f[1], to, reason)
return {'ok'}
