-- A turn is over: write its state, what it consumed, and give its lease back, in one step. The lease is given back
-- even where the state does not allow the move.
-- KEYS  session, job: that the turn counts for (or the session again)
--       template_costs, trial_costs, day_costs: sums that the turn is added to (or the session again)
--       sessions, turns, events
-- ARGV  name: of the agent  fence: of the turn  to: the new state, or '' when no turn was run
--       allowed: states that it may come from, separated by commas  reason  retention_seconds
--       fields: JSON list of fields and values to write  cost: JSON list of measures and numbers, of the turn alone
--       cost_usd, seconds: of them, for the limits  template, repository, version, arm: labels of sums, '' for none
--       costs_seconds: for which the sums of a day are kept
--       job_fence: of the job's lease  finished: JSON of a turn that did its work, which the job keeps until it is
--       delivered; '' for any other
--       call_id: of this call; with the same one it may be made again
-- FLAGS retry: it counts as a retry  counts: what it consumed is added to the job
--       put_off: it met a limit of its account, and is not one of the turns that the job may have
--       mail_missing: it should have sent the mail that ends its task  forget: its conversation cannot be resumed
-- Returns {'ok'}, {'missing'}, {'stale'} (another turn, or none), or {'state', its state}: that does not allow it
-- @include prelude
-- @include session
-- @include cost
local now = clock(time)
local f = redis.call('HMGET', session, 'state', 'runtime_session')
if not f[1] then
  redis.call('ZREM', turns, name)
  redis.call('ZREM', sessions, name)
  return {'missing'}
end
if not holds(session, fence) then
  -- The answer to the first call was lost: it is given again, whatever has become of the session since.
  local ended, answer = string.match(redis.call('HGET', session, 'ended') or '', '^(%S+) ?(.*)$')
  if call_id == '' or ended ~= call_id then return {'stale'} end
  return answer == '' and {'ok'} or {'state', answer}
end
leave_turn(session, turns, name) -- in any case, or the session would be busy until the lease runs out
redis.call('HSET', session, 'ended', call_id)
if to == '' then return {'ok'} end
redis.call('HINCRBY', session, 'turns', 1)
redis.call('HINCRBYFLOAT', session, 'cost_usd', cost_usd)
local spent = cjson.decode(cost)
if template ~= '' then -- it was paid for, whatever became of its job
  add_cost(template_costs, version, spent)
  if arm ~= '' then add_cost(trial_costs, arm, spent) end
  add_cost(day_costs, template, spent)
  if repository ~= '' then add_cost(day_costs, '@' .. repository, spent) end
  redis.call('EXPIRE', day_costs, costs_seconds)
end
-- What a job keeps of its newest turns, each by its number.
local MOST_ENDED = 20
local function remember_turn()
  if measure(spent, 'turns') == 0 then return end
  local number = tonumber(redis.call('HGET', job, 'cost:turns'))
  redis.call('HSET', job, string.format('turn:%d', number), cjson.encode({
    number = number, at = now, kind = redis.call('HGET', job, 'kind') or 'first', seconds = tonumber(seconds),
    usd = tonumber(cost_usd), unknown = measure(spent, 'unknown') > 0, tokens = tokens_of(spent)}))
  redis.call('HDEL', job, string.format('turn:%d', number - MOST_ENDED))
end

-- The job's record may be gone; an increment must not create it again.
if counts and redis.call('EXISTS', job) == 1 then
  if not put_off then redis.call('HINCRBY', job, 'turns', 1) end
  redis.call('HINCRBYFLOAT', job, 'spent_usd', cost_usd)
  redis.call('HINCRBYFLOAT', job, 'spent_seconds', seconds)
  add_cost(job, 'cost', spent)
  remember_turn()
  redis.call('HINCRBY', job, 'spent_tokens', string.format('%d', tokens_of(spent)))
  if finished ~= '' and redis.call('HGET', job, 'fence') == job_fence then
    redis.call('HSET', job, 'finished', finished)
  end
end
redis.call('HSET', session, 'last_activity', stamp(now), 'reason', reason, unpack(cjson.decode(fields)))
if retry then redis.call('HINCRBY', session, 'retries', 1) end
if forget and f[2] then
  redis.call('HDEL', session, 'runtime_session', 'session_host', 'billed', 'billed_cache')
  emit(events, 'session.lost', now, name, cjson.encode({session = f[2], reason = reason}))
end
if mail_missing then
  emit(events, 'session.terminal_mail_missing', now, name, cjson.encode({reason = reason}))
end
if f[1] == to and to == 'zombie' then return {'ok'} end -- the watchdog was first
if not may_come(f[1], allowed) then
  redis.call('HSET', session, 'ended', call_id .. ' ' .. f[1])
  return {'state', f[1]}
end
enter(session, sessions, name, to, now, retention_seconds)
tell(events, now, name, session, f[1], to, reason)
return {'ok'}
