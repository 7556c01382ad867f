-- A job that is queued, or whose lease ran out, and whose version was rejected goes to the champion and leaves
-- its trial. So does one whose version does not start, when another one is champion.
-- KEYS  job, settlements: of its trial (or the job again), due, champions, rejected, events, trials_moved, breakers
-- ARGV  id: of the job  champion: its number as read, with content_hash and source_commit
--       settlement: JSON without its end, or '' where its trial has no line of the job alone
-- Returns 1 when it was rerouted, else 0: it needs no other version, or the champion changed meanwhile
-- @include prelude
-- @include breakers
local now = clock(time)
local f = redis.call('HMGET', job, 'state', 'template', 'version', 'trial', 'settled_at')
if f[1] ~= 'queued' and f[1] ~= 'running' then return 0 end
if redis.call('SISMEMBER', rejected, f[2] .. '@v' .. f[3]) == 0 then
  local b = breaker_of(breakers, 'version:' .. f[2] .. '@v' .. f[3] .. '/')
  if f[3] == champion or not b or b.state == 'open' then return 0 end
end
if redis.call('HGET', champions, f[2]) ~= champion then return 0 end
redis.call('HSET', job, 'version', champion, 'content_hash', content_hash, 'source_commit', source_commit,
  'rerouted_from', f[3], 'trial', '')
redis.call('HDEL', job, 'parent_arm') -- a child no longer has its parent's version
if f[4] and f[4] ~= '' then
  redis.call('HSET', job, 'left_trial', f[4])
  if settlement == '' then
    redis.call('ZADD', due, 'LT', now, id) -- its pair is left out
  elseif not f[5] then -- a settled score stays
    redis.call('RPUSH', settlements, settlement .. ',"at":' .. stamp(now) .. '}')
    redis.call('SADD', trials_moved, f[4])
  end
end
if f[1] == 'running' then redis.call('HINCRBY', job, 'fence', 1) end -- its last worker may not speak for it
emit(events, 'job.rerouted', now, id, cjson.encode({from = f[2] .. '@v' .. f[3], to = f[2] .. '@v' .. champion}))
return 1
