-- A person holds an open trial: no verdict is carried out until one resumes it. It goes on drawing.
-- KEYS  trial, events
-- ARGV  id: of the trial  by: who holds it  reason  data: of the event, as JSON
-- Returns 'ok', 'held' (a person holds it already), 'closed' or 'unknown'
-- @include prelude
local now = clock(time)
local state = redis.call('HGET', trial, 'state')
if not state then return 'unknown' end
if state ~= 'open' then return 'closed' end
if redis.call('HEXISTS', trial, 'hold_by') == 1 then return 'held' end
redis.call('HSET', trial, 'hold_by', by, 'hold_reason', reason, 'hold_at', stamp(now))
redis.call('HINCRBY', trial, 'revision', 1) -- a verdict that was decided without it is stale
emit(events, 'trial.held', now, id, data)
return 'ok'
