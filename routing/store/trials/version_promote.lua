-- A person makes a version champion: a pending one, the one on trial, or (mode 'revert') a superseded one.
-- An open trial of another version is stopped in the same step; the trial of this one is graduated.
-- KEYS  template, reviews, trial: the open one (or the template again), trials_open, champions, events
-- ARGV  name: of the template  number  mode: 'promote' or 'revert'  trial_id: of the open trial as read, or ''
--       reason  review: JSON
-- Returns {'ok'}, {'unchanged'} (it is champion), {'stale'} (another trial is open), {'unknown'}, or
--         {'state', its state}: that does not allow it
-- @include prelude
-- @include versions
local now = clock(time)
local state = state_of(template, number)
if not state then return {'unknown'} end
if state == 'champion' then return {'unchanged'} end
if (redis.call('HGET', template, 'trial') or '') ~= trial_id then return {'stale'} end
if mode == 'promote' and state ~= 'pending' and state ~= 'canary' then return {'state', state} end
if mode == 'revert' and state ~= 'superseded' then return {'state', state} end
local id = name .. '@v' .. number
-- An open trial cannot go on: its champion is another one from now on.
if trial_id ~= '' then
  if state == 'canary' then
    end_trial(trial, template, trials_open, trial_id, 'graduated', now, reason, review)
  else
    local canary = redis.call('HGET', trial, 'canary')
    local why = id .. ' was made champion by a person'
    set_state(template, canary, 'pending')
    end_trial(trial, template, trials_open, trial_id, 'stopped', now, why, '')
    emit(events, 'trial.stopped', now, trial_id, cjson.encode({trial = trial_id, reason = why}))
  end
end
crown(template, champions, name, number)
touch(template)
redis.call('RPUSH', reviews, review)
emit(events, mode == 'revert' and 'template.reverted' or 'candidate.promoted', now, id, review)
return {'ok'}
