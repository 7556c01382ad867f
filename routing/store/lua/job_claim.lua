-- Win the lease of a job that is queued, or whose lease ran out.
-- KEYS  1 job  2 outbox  3 leases  4 paused  5 rejected  6 events  7 unclaimed
-- ARGV  1 now  2 job id  3 lease, seconds  4 worker
-- Returns {'ok', field, value, …} | {'missing'|'taken'|'early'|'paused'|'final'|'rejected'}
-- @include prelude
local job, outbox, leases, paused, rejected, events, unclaimed = unpack(KEYS)
local now, id = clock(ARGV[1]), ARGV[2]
local f = redis.call('HMGET', job, 'state', 'lease_until', 'not_before', 'template', 'version', 'attempts',
  'max_attempts', 'cancel')
local state = f[1]
local function unlist()
  redis.call('ZREM', outbox, id)
  redis.call('ZREM', unclaimed, id)
end
if not state then unlist() return {'missing'} end
if state == 'running' then
  local spent = tonumber(f[6] or 0) >= tonumber(f[7])
  if tonumber(f[2]) > now or spent or f[8] then return {'taken'} end
elseif state ~= 'queued' then
  unlist()
  return {'final'}
end
if redis.call('EXISTS', paused) == 1 then
  if state == 'queued' then redis.call('ZADD', outbox, now, id) end -- published when dispatch resumes
  return {'paused'}
end
if f[3] and tonumber(f[3]) > now then return {'early'} end
if redis.call('SISMEMBER', rejected, f[4] .. '@v' .. f[5]) == 1 then return {'rejected'} end
local ends = now + tonumber(ARGV[3])
local fence = redis.call('HINCRBY', job, 'fence', 1)
redis.call('HINCRBY', job, 'attempts', 1)
redis.call('HSET', job, 'state', 'running', 'worker', ARGV[4], 'claimed_at', stamp(now),
  'lease_until', stamp(ends), 'reason', '')
redis.call('ZADD', leases, ends, id)
unlist()
emit(events, 'job.claimed', now, id, cjson.encode({worker = ARGV[4], fence = fence}))
local all = redis.call('HGETALL', job)
table.insert(all, 1, 'ok')
return all
