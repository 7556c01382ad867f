-- Win the lease of a pair that is to be judged.
-- KEYS  pair: its record  owner: record of the job that it is called by  judging, trials_open, backtests_open, pulse
-- ARGV  id: of the pair  lease_seconds  worker  call_id: with the same one it may be made again
-- Returns {'ok', field, value, …} | {'missing'|'taken'} | {'over'}: nobody needs it, see `_needed`
-- @include prelude
-- @include lease
-- @include needed
local now = clock(time)
local f = redis.call('HMGET', pair, 'state', 'lease_until', 'claim', 'at')
if not f[1] then
  redis.call('ZREM', judging, id)
  return {'missing'}
end
if f[1] == 'done' or not_needed(owner, trials_open, backtests_open) then
  redis.call('ZREM', judging, id)
  redis.call('HDEL', pair, 'work:champion', 'work:canary')
  return {'over'}
end
local is_repeated = f[1] == 'running' and call_id ~= '' and f[3] == call_id
if f[1] == 'running' and not is_repeated then
  if not is_lost(pulse, tonumber(f[2]), now) then return {'taken'} end
end
if not is_repeated then
  local ends = now + tonumber(lease_seconds)
  redis.call('HINCRBY', pair, 'fence', 1)
  redis.call('HINCRBY', pair, 'attempts', 1)
  if f[1] == 'running' then redis.call('HINCRBY', pair, 'lost:' .. (f[4] or ''), 1) end
  redis.call('HDEL', pair, 'at')
  redis.call('HSET', pair, 'state', 'running', 'lease_until', stamp(ends), 'worker', worker, 'claim', call_id)
  redis.call('ZADD', judging, ends, id)
end
local all = redis.call('HGETALL', pair)
table.insert(all, 1, 'ok')
return all
