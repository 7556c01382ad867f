-- A person rejects a pending version, or the one on trial (which rolls its trial back).
-- KEYS  1 template  2 the open trial, or the template again  3 trials:open  4 rejected  5 events  6 reviews
-- ARGV  1 now  2 name  3 number  4 id of the open trial as read, or ''  5 reason  6 review JSON
-- Returns 'ok'|'unchanged'|'stale'|'unknown'|the state that does not allow it
-- @include prelude
-- @include versions
local template, trial_key, open, rejected, events, reviews = unpack(KEYS)
local now, name, number, trial = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local state = state_of(template, number)
if not state then return 'unknown' end
if state == 'rejected' then return 'unchanged' end
if (redis.call('HGET', template, 'trial') or '') ~= trial then return 'stale' end
if state ~= 'pending' and state ~= 'canary' then return state end
local kind = 'candidate.rejected'
if state == 'canary' then
  kind = 'candidate.rolled_back'
  end_trial(trial_key, template, open, trial, 'rolled_back', now, ARGV[5], ARGV[6])
end
reject(template, rejected, name, number)
touch(template)
redis.call('RPUSH', reviews, ARGV[6])
emit(events, kind, now, name .. '@v' .. number, ARGV[6])
return 'ok'
