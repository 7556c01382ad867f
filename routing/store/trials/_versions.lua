-- Shared by the scripts that move versions and end trials, in one step.

-- A new revision makes every mailbox read the template's route again.
local function touch(template_key) redis.call('HINCRBY', template_key, 'revision', 1) end

-- A version's state is a field of its template, beside champion and open trial: one key tells all of the route.
local function state_of(template_key, number)
  return redis.call('HGET', template_key, 'state:' .. number)
end

local function set_state(template_key, number, state)
  redis.call('HSET', template_key, 'state:' .. number, state)
end

-- End a trial; its canary's state is for the caller to set.
local function end_trial(trial_key, template_key, open_key, trial, state, at, reason, review)
  redis.call('HSET', trial_key, 'state', state, 'closed_at', stamp(at), 'reason', reason, 'review', review)
  redis.call('HDEL', template_key, 'trial')
  redis.call('SREM', open_key, trial)
end

-- The only way to change a champion: the old one is superseded in the same step.
local function crown(template_key, champions_key, name, number)
  local old = redis.call('HGET', template_key, 'champion')
  if old and old ~= number then
    set_state(template_key, old, 'superseded')
    redis.call('HSET', template_key, 'previous', old)
  end
  set_state(template_key, number, 'champion')
  redis.call('HSET', template_key, 'champion', number)
  redis.call('HSET', champions_key, name, number)
  if redis.call('HGET', template_key, 'waiting') == number then
    redis.call('HDEL', template_key, 'waiting')
  end
end

-- Rejection is final. A claim looks a version's id up in the set of rejected ones.
local function reject(template_key, rejected_key, name, number)
  set_state(template_key, number, 'rejected')
  redis.call('SADD', rejected_key, name .. '@v' .. number)
  if redis.call('HGET', template_key, 'waiting') == number then
    redis.call('HDEL', template_key, 'waiting')
  end
end
