-- End a trial without a verdict; its canary is pending again.
-- KEYS  1 template  2 trial  3 trials:open  4 events
-- ARGV  1 now  2 trial id  3 reason  4 event data
-- Returns 'ok'|'unknown'|the state in which the trial has ended already
-- @include prelude
-- @include versions
local template, trial_key, open, events = unpack(KEYS)
local now = clock(ARGV[1])
local state = redis.call('HGET', trial_key, 'state')
if not state then return 'unknown' end
if state ~= 'open' then return state end
set_state(template, redis.call('HGET', trial_key, 'canary'), 'pending')
end_trial(trial_key, template, open, ARGV[2], 'stopped', now, ARGV[3], '')
touch(template)
emit(events, 'trial.stopped', now, ARGV[2], ARGV[4])
return 'ok'
