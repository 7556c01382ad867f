-- Win the lease of a job that is queued, or whose lease ran out, if the limits leave room for it.
-- KEYS  job, signals: of the job  day_costs: sums of today  outbox, leases, paused, rejected, events, unclaimed, held, at_work, spent, pulse
--       breakers, limited, gates, trials_open, due, champions, backtests_open
-- ARGV  id: of the job  lease_seconds  worker  call_id: of this claim; with the same one it may be made again
--       agents_at_once, per_repository, day_cost_usd: the limits; 0 for none
--       waits: JSON object of why it waits, in words, by fleet, repository, turn, budget, day, version, no_account,
--       account and other_arm
--       gate: JSON of what must be open for its version, or '' where nothing need be  digest: of the gate
--       fell_back: JSON of the signal of a job that uses a model that the other arm may not
-- FLAGS likely: the gate is that of a job of a version in no trial, as this one may be
-- Returns {'ok', field, value, …} | {'missing'|'taken'|'early'|'paused'|'final'|'rejected'}
--         | {'full'|'budget'}: it is held until there is room
--         | {'limited'}: it is held until an account is open | {'moved'}: its version is not that of the gate
-- @include prelude
-- @include admission
-- @include lease
-- @include wait
-- @include breakers
-- @include accounts
local now = clock(time)
local limits = {tonumber(agents_at_once), tonumber(per_repository), tonumber(day_cost_usd)}
local f = redis.call('HMGET', job, 'state', 'lease_until', 'not_before', 'template', 'version', 'attempts',
  'max_attempts', 'cancel', 'place', 'request', 'created_at', 'finished', 'claim', 'limited', 'held_at', 'trial', 'claimed_at',
  'shadow', 'backtest')
local state, place = f[1], f[9] or ''
local turn = f[19] and f[11] and stamp(tonumber(f[11]) + LAST) or f[11] -- its place among those that wait
local function unlist()
  if f[14] then
    redis.call('ZREM', limited, f[14])
    local before = string.match(f[14], '^[^:]*')
    if before ~= digest then redis.call('HSET', gates, '?' .. before, stamp(now)) end -- see `limited_release`
  end
  redis.call('ZREM', outbox, id)
  redis.call('ZREM', unclaimed, id)
  redis.call('ZREM', held, place .. id)
end

-- Why it cannot begin now, if it cannot.
local function refusal()
  if is_spent(spent, now, limits) then return 'budget' end
  if f[19] and redis.call('ZCOUNT', held, '-inf', '(' .. stamp(LAST)) > 0 then return 'turn' end
  local room = room_in_fleet(leases, now, limits)
  if room <= 0 then return 'fleet' end
  local function room_of(other) return room_at(at_work, leases, now, limits, other) end
  local here = room_of(place)
  if here <= 0 then return 'repository' end
  if room == math.huge and here == math.huge then return nil end
  local older = redis.call('ZRANGEBYSCORE', held, '-inf', '(' .. turn, 'LIMIT', 0, FEW)
  local _, left, rooms = let_in(older, room, room_of)
  if left <= 0 or (rooms[place] or here) <= 0 then return 'turn' end
  return nil
end

-- It waits until those that were created before it have begun, a job of a backtest until all real work has; the sweep publishes it when there is room.
local function hold(why)
  local reason = cjson.decode(waits)[why]
  redis.call('HSET', job, 'reason', reason, 'place', place)
  redis.call('ZREM', outbox, id)
  redis.call('ZREM', unclaimed, id)
  if redis.call('ZADD', held, turn, place .. id) == 1 then
    emit(events, 'job.held', now, id, cjson.encode({why = why, reason = reason}))
  end
end

-- It waits until an account that its version may use is open, and one of the other arm of its trial. Its place in the
-- queue is that of its creation, after all real work for a job of a backtest; `limited_release` publishes it.
local function hold_for_account(why, till)
  local member = digest .. ':' .. string.format('%020.6f', tonumber(turn)) .. ':' .. id
  local reason = cjson.decode(waits)[why]
  unlist()
  redis.call('HSET', gates, digest, gate)
  redis.call('HSET', job, 'reason', reason, 'place', place, 'limited', member, 'held_until', till and stamp(till) or '')
  begin_wait(job, f[15], f[17], now)
  if redis.call('ZADD', limited, 0, member) == 1 and f[14] ~= member then
    emit(events, 'job.held', now, id, cjson.encode({why = why, reason = reason, ['until'] = till}))
  end
end

local function claimed()
  local all = redis.call('HGETALL', job)
  table.insert(all, 1, 'ok')
  return all
end

if not state then unlist() return {'missing'} end
if state == 'running' then
  if call_id ~= '' and f[13] == call_id then return claimed() end -- the answer to the first call was lost
  local used_up = tonumber(f[6] or 0) >= tonumber(f[7])
  if used_up or f[8] or not is_lost(pulse, tonumber(f[2]), now) then return {'taken'} end
elseif state ~= 'queued' then
  unlist()
  return {'final'}
end
if redis.call('EXISTS', paused) == 1 then
  if state == 'queued' then redis.call('ZADD', outbox, now, id) end -- published when dispatch resumes
  return {'paused'}
end
if f[3] and tonumber(f[3]) > now then return {'early'} end
-- Nobody needs a shadow's work when its trial, or its backtest, has ended.
if f[19] and redis.call('SISMEMBER', backtests_open, f[19]) == 0 then return {'rejected'} end
if f[18] and not f[19] and redis.call('SISMEMBER', trials_open, f[16] or '') == 0 then return {'rejected'} end
-- A turn that is finished only lacks its delivery: it costs nothing, and stays its version's.
local begins = not f[12] or f[12] == ''
if begins and redis.call('SISMEMBER', rejected, f[4] .. '@v' .. f[5]) == 1 then return {'rejected'} end
if not f[9] then place = place_of(cjson.decode(f[10]).repository) end
local account, way
if begins and gate ~= '' then
  local asked = cjson.decode(gate)
  if asked.version ~= f[4] .. '@v' .. f[5] or asked.trial ~= '' and asked.trial ~= (f[16] or '') then return {'moved'} end
  if likely and (f[16] or '') ~= '' then return {'moved'} end
  local shut, till
  account, shut, till = through(asked, breakers, leases, trials_open, now, id, day_costs)
  if not account then
    local is_pinned = string.find(cjson.decode(f[10]).template or '', '@', 1, true)
    if shut == 'version' and not is_pinned and is_replaced(asked, breakers, champions, trials_open) then return {'rejected'} end
    if state == 'queued' then hold_for_account(shut, till) end
    return {'limited'}
  end
  way = asked
end
local why = begins and refusal() or nil
if why then
  -- a lost worker's job is put back by the sweep
  if state == 'queued' then hold(why) end
  return {why == 'budget' and 'budget' or 'full'}
end
local ends = now + tonumber(lease_seconds)
local fence = redis.call('HINCRBY', job, 'fence', 1)
redis.call('HINCRBY', job, 'attempts', 1)
redis.call('HSET', job, 'state', 'running', 'worker', worker, 'claimed_at', stamp(now),
  'lease_until', stamp(ends), 'reason', '', 'claim', call_id)
redis.call('HSETNX', job, 'first_claimed_at', stamp(now))
redis.call('ZADD', leases, ends, id)
if place ~= '' then
  redis.call('HSET', job, 'place', place)
  redis.call('ZADD', at_work, 0, place .. id)
end
if account then
  lease_account(breakers, account, now, id)
  lease_start(breakers, way, now, id)
  redis.call('HSET', job, 'account', account[2], 'model', account[3], 'fell_back', account[4] > 0 and '1' or '')
  if account[4] > 0 and way.trial ~= '' and not way.keeps_count then
    local fact = cjson.decode(fell_back)
    if redis.call('HSETNX', signals, fact[1], fact[2]) == 1 then redis.call('ZADD', due, now, id) end
  end
end
end_wait(job, f[15], f[17], now)
redis.call('HDEL', job, 'held_until', 'limited')
unlist()
emit(events, 'job.claimed', now, id, cjson.encode({worker = worker, fence = fence}))
return claimed()
