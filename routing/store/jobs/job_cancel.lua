-- Ask that a running job be cancelled; its worker, or the sweep when that is lost, carries it out.
-- KEYS  job, events, children, bereaved
-- ARGV  id: of the job  reason  to: the state in which it is to end, '' for cancelled
-- Returns 1 when the job is to be cancelled, by this call or an earlier one; 0 when it is not running
-- @include prelude
-- @include family
if redis.call('HGET', job, 'state') ~= 'running' then return 0 end
if redis.call('HSETNX', job, 'cancel', reason) == 1 then
  bereave(bereaved, children, id)
  emit(events, 'job.cancelling', clock(time), id, cjson.encode({reason = reason}))
end
if to ~= '' then redis.call('HSET', job, 'cancel_to', to) end
return 1
