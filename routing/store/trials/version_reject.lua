-- A person rejects a pending version, or the one on trial (which rolls its trial back).
-- KEYS  template, reviews, trial: the open one (or the template again), trials_open, rejected, events
-- ARGV  name: of the template  number  trial_id: of the open trial as read, or ''  reason  review: JSON
-- Returns {'ok'}, {'unchanged'} (it is rejected), {'stale'} (another trial is open), {'unknown'}, or
--         {'state', its state}: that does not allow it
-- @include prelude
-- @include versions
local now = clock(time)
local state = state_of(template, number)
if not state then return {'unknown'} end
if state == 'rejected' then return {'unchanged'} end
if (redis.call('HGET', template, 'trial') or '') ~= trial_id then return {'stale'} end
if state ~= 'pending' and state ~= 'canary' then return {'state', state} end
local kind = 'candidate.rejected'
if state == 'canary' then
  kind = 'candidate.rolled_back'
  end_trial(trial, template, trials_open, trial_id, 'rolled_back', now, reason, review)
end
reject(template, rejected, name, number)
touch(template)
redis.call('RPUSH', reviews, review)
emit(events, kind, now, name .. '@v' .. number, review)
return {'ok'}
