-- Shared by the scripts that look at accounts. Needs `breakers`. The hash of that name is ACCOUNT/MODEL -> a breaker
-- as JSON, with ACCOUNT/* for what closes the account as a whole. A gate is what `routing/accounts/pool.py` makes:
-- its candidates are {name of the breaker, account, model, rank}, by rank.

-- 'open', 'probe': one job may try it, or 'shut' with the time when it is tried again, if that is known
local function condition_of(b, leases, now, id)
  if not b or b.state == 'open' then return 'open' end
  if not b['until'] then return 'shut', nil end
  if b['until'] > now then return 'shut', b['until'] end
  if b.probe and b.probe ~= id then
    local ends = redis.call('ZSCORE', leases, b.probe)
    if ends and tonumber(ends) > now then return 'shut', now end
  end
  return 'probe'
end

local function wide(candidate) return candidate[2] .. '/*' end

-- The same of an account with a model: both breakers count.
local function condition(breakers, candidate, leases, now, id)
  local whole, ends = condition_of(breaker_of(breakers, wide(candidate)), leases, now, id)
  if whole == 'shut' then return whole, ends end
  local one, until_ = condition_of(breaker_of(breakers, candidate[1]), leases, now, id)
  if one == 'shut' then return one, until_ end
  return (whole == 'probe' or one == 'probe') and 'probe' or 'open', nil
end

-- The candidate that a job may begin on, and its condition: of the first rank that has one, one to probe before all
-- others, as nothing else would open it again; then the one that was used longest ago. Without any: nil, and the
-- time when the first is tried again, nil when only a person opens one.
local function chosen(breakers, candidates, leases, now, id)
  local best, how, used, soonest
  for _, candidate in ipairs(candidates) do
    if best and candidate[4] > best[4] then break end
    local stands, ends = condition(breakers, candidate, leases, now, id)
    if stands == 'shut' then
      if ends and (not soonest or ends < soonest) then soonest = ends end
    elseif how ~= 'probe' then
      local b = breaker_of(breakers, candidate[1])
      local last = b and b.used_at or 0
      if stands == 'probe' or not best or last < used then best, how, used = candidate, stands, last end
    end
  end
  return best, how, soonest
end

-- Whether what may be used a day is used up. `day_costs` has LABEL:MEASURE -> sum, templates by their names and
-- repositories after an @; a budget is {label, dollars, tokens}, of label '' for all templates together.
local function is_used_up(day_costs, budgets)
  for _, budget in ipairs(budgets or {}) do
    local usd, tokens = 0, 0
    if budget[1] == '' then
      local all = redis.call('HGETALL', day_costs)
      for at = 1, #all, 2 do
        local measure = string.sub(all[at], 1, 1) ~= '@' and string.match(all[at], '([^:]+)$')
        if measure == 'input_tokens' or measure == 'output_tokens' then tokens = tokens + tonumber(all[at + 1]) end
      end
    else
      local f = redis.call('HMGET', day_costs, budget[1] .. ':usd', budget[1] .. ':input_tokens',
        budget[1] .. ':output_tokens')
      usd, tokens = tonumber(f[1] or 0), tonumber(f[2] or 0) + tonumber(f[3] or 0)
    end
    if budget[2] > 0 and usd >= budget[2] or budget[3] > 0 and tokens >= budget[3] then return true end
  end
  return false
end

-- Seconds in which an agent that fails has failed at its start; one that lasts longer has started.
local START_SECONDS = 60

-- Whether a job of the gate may begin, as to whether agents of its version start: 'open', 'probe' or 'shut', with the time
-- when it is tried again. In an open trial nothing waits while the other arm starts.
local function starting(gate, breakers, leases, trials_open, now, id)
  if not gate.starts or gate.starts == '' then return 'open' end
  local b = breaker_of(breakers, gate.starts)
  local stands, ends = condition_of(b, leases, now, id)
  if stands == 'open' then return 'open' end
  if gate.other_starts ~= '' and redis.call('SISMEMBER', trials_open, gate.trial) == 1
    and starts(breaker_of(breakers, gate.other_starts)) then
    return 'open'
  end
  if stands == 'shut' and b.probe and b['until'] and b['until'] <= now and now - (b.used_at or now) > START_SECONDS then
    return 'open' -- the one that tries it has lasted
  end
  return stands, ends
end

-- Whether a job of a gate may begin: its candidate and the condition of that; or nil, why not ('day', 'version',
-- 'no_account', 'account' or 'other_arm'), and the time when it may, if that is known.
local function through(gate, breakers, leases, trials_open, now, id, day_costs)
  if is_used_up(day_costs, gate.budgets) then return nil, 'day', (math.floor(now / 86400) + 1) * 86400 end
  local begins, again = starting(gate, breakers, leases, trials_open, now, id)
  if begins == 'shut' then return nil, 'version', again end
  if #gate.own == 0 then return nil, 'no_account', nil end
  local own, how, soonest = chosen(breakers, gate.own, leases, now, id)
  if not own then return nil, 'account', soonest end
  if begins == 'probe' then how = 'probe' end
  if #gate.other > 0 and redis.call('SISMEMBER', trials_open, gate.trial) == 1 then
    local other, _, later = chosen(breakers, gate.other, leases, now, id)
    if not other then return nil, 'other_arm', later end
  end
  return own, how
end

-- A job begins on a candidate: note when, and that it probes what was closed.
local function lease_account(breakers, candidate, now, id)
  for _, name in ipairs({candidate[1], wide(candidate)}) do
    local b = breaker_of(breakers, name)
    if b or name == candidate[1] then
      b = b or {account = candidate[2], model = candidate[3], state = 'open', tries = 0}
      b.used_at = now
      if b.state ~= 'open' then b.probe = id end
      redis.call('HSET', breakers, name, cjson.encode(b))
    end
  end
end

-- A job begins of a version that is to be tried: note that it is the one.
local function lease_start(breakers, gate, now, id)
  local b = gate.starts and breaker_of(breakers, gate.starts)
  if b and b.state ~= 'open' then
    b.probe, b.used_at = id, now
    redis.call('HSET', breakers, gate.starts, cjson.encode(b))
  end
end

-- Whether jobs that wait for a version to start are another's now: it is closed, and neither champion of its template nor
-- on trial.
local function is_replaced(gate, breakers, champions, trials_open)
  local template, number = string.match(gate.version, '^(.*)@v(%d+)$')
  if not gate.starts or not template then return false end
  if gate.trial ~= '' and redis.call('SISMEMBER', trials_open, gate.trial) == 1 then return false end
  local b, champion = breaker_of(breakers, gate.starts), redis.call('HGET', champions, template)
  return b and b.state ~= 'open' and champion and champion ~= number
end
