-- A person makes a version champion: a pending one, the one on trial, or (mode 'revert') a superseded one.
-- An open trial of another version is stopped in the same step; the trial of this one is graduated.
-- KEYS  1 template  2 the open trial, or the template again  3 trials:open  4 champions  5 events  6 reviews
-- ARGV  1 now  2 name  3 number  4 mode ('promote'|'revert')  5 id of the open trial as read, or ''
--       6 reason  7 review JSON
-- Returns {'ok'|'unchanged'|'stale'|'unknown'|the state that does not allow it}
-- @include prelude
-- @include versions
local template, trial_key, open, champions, events, reviews = unpack(KEYS)
local now, name, number, mode, trial = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local state = state_of(template, number)
if not state then return 'unknown' end
if state == 'champion' then return 'unchanged' end
if (redis.call('HGET', template, 'trial') or '') ~= trial then return 'stale' end
if mode == 'promote' and state ~= 'pending' and state ~= 'canary' then return state end
if mode == 'revert' and state ~= 'superseded' then return state end
local id = name .. '@v' .. number
if trial ~= '' then
  if state == 'canary' then
    end_trial(trial_key, template, open, trial, 'graduated', now, ARGV[6], ARGV[7])
  else
    local canary = redis.call('HGET', trial_key, 'canary')
    local why = id .. ' was made champion by a person'
    set_state(template, canary, 'pending')
    end_trial(trial_key, template, open, trial, 'stopped', now, why, '')
    emit(events, 'trial.stopped', now, trial, cjson.encode({trial = trial, reason = why}))
  end
end
crown(template, champions, name, number)
touch(template)
redis.call('RPUSH', reviews, ARGV[7])
emit(events, mode == 'revert' and 'template.reverted' or 'candidate.promoted', now, id, ARGV[7])
return 'ok'
