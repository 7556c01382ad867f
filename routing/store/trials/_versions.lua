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

-- The version that is on a way of several steps, and the trial or backtest that is its present one; nil without one.
local function on_way(template_key)
  return string.match(redis.call('HGET', template_key, 'on_way') or '', '^(%d+) (.+)$')
end

local function end_way(template_key) redis.call('HDEL', template_key, 'way', 'on_way') end

-- A step is open: the way is at it. Whatever kept it closed, and whatever its version waited for, is over.
local function at_step(template_key, record, number, way, mark, step, steps)
  if way ~= '' then
    redis.call('HSET', template_key, 'way', way, 'on_way', mark)
    redis.call('HSET', record, 'step', step, 'steps', steps)
  end
  if redis.call('HGET', template_key, 'waiting') == number then redis.call('HDEL', template_key, 'waiting') end
  redis.call('HDEL', template_key, 'held')
end

-- End a trial; its canary's state is for the caller to set. The way that it is a step of ends with it, unless `goes_on`.
local function end_trial(trial_key, template_key, open_key, trial, state, at, reason, review, goes_on)
  redis.call('HSET', trial_key, 'state', state, 'closed_at', stamp(at), 'reason', reason, 'review', review)
  redis.call('HDEL', template_key, 'trial')
  redis.call('SREM', open_key, trial)
  if not goes_on then end_way(template_key) end
end

-- The only way to change a champion: the old one is superseded in the same step. A version that was on its way was
-- compared with the old one, so its way is over.
local function crown(template_key, champions_key, name, number)
  local old = redis.call('HGET', template_key, 'champion')
  if old and old ~= number then
    set_state(template_key, old, 'superseded')
    redis.call('HSET', template_key, 'previous', old)
  end
  set_state(template_key, number, 'champion')
  redis.call('HSET', template_key, 'champion', number)
  redis.call('HSET', champions_key, name, number)
  end_way(template_key)
  if redis.call('HGET', template_key, 'waiting') == number then
    redis.call('HDEL', template_key, 'waiting')
  end
end

-- Rejection is final. A claim looks a version's id up in the set of rejected ones.
local function reject(template_key, rejected_key, name, number)
  set_state(template_key, number, 'rejected')
  redis.call('SADD', rejected_key, name .. '@v' .. number)
  if on_way(template_key) == number then end_way(template_key) end
  if redis.call('HGET', template_key, 'waiting') == number then
    redis.call('HDEL', template_key, 'waiting')
  end
end
