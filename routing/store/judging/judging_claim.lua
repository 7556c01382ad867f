-- Win the lease of a pair that is to be judged.
-- KEYS  pair: its record  champion: record of its job  judging, trials_open, pulse
-- ARGV  id: of the champion's job  lease_seconds  worker  call_id: with the same one it may be made again
-- Returns {'ok', field, value, …} | {'missing'|'taken'} | {'over'}: nobody needs it, as its trial or the pair has ended
-- @include prelude
-- @include lease
local now = clock(time)
local f = redis.call('HMGET', pair, 'state', 'lease_until', 'claim', 'at')
local trial = redis.call('HMGET', champion, 'trial', 'pair_settled_at')
if not f[1] then
  redis.call('ZREM', judging, id)
  return {'missing'}
end
if f[1] == 'done' or trial[2] or redis.call('SISMEMBER', trials_open, trial[1] or '') == 0 then
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
