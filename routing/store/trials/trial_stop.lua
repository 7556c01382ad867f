-- End a trial without a verdict; its canary is pending again.
-- KEYS  template, trial, trials_open, events
-- ARGV  id: of the trial  reason  data: of the event, as JSON
-- Returns 1, or 0 when it has ended already or is unknown
-- @include prelude
-- @include versions
local now = clock(time)
local state = redis.call('HGET', trial, 'state')
if not state then return 0 end
if state ~= 'open' then return 0 end
set_state(template, redis.call('HGET', trial, 'canary'), 'pending')
end_trial(trial, template, trials_open, id, 'stopped', now, reason, '')
touch(template)
emit(events, 'trial.stopped', now, id, data)
return 1
