-- A job that is queued, or whose lease ran out, and whose version was rejected goes to the champion and leaves
-- its trial.
-- KEYS  1 job  2 champions  3 rejected  4 events  5 settlements of its trial (or job)  6 trials:moved
-- ARGV  1 now  2 job id  3 champion's number as read  4 its content hash  5 its source commit
--       6 settlement JSON without its end, or ''
-- Returns 'ok'|'stale'|'unchanged'
-- @include prelude
local job, champions, rejected, events, settlements, moved = unpack(KEYS)
local now, id = clock(ARGV[1]), ARGV[2]
local f = redis.call('HMGET', job, 'state', 'template', 'version', 'trial', 'settled_at')
if f[1] ~= 'queued' and f[1] ~= 'running' then return 'unchanged' end
if redis.call('SISMEMBER', rejected, f[2] .. '@v' .. f[3]) == 0 then return 'unchanged' end
if redis.call('HGET', champions, f[2]) ~= ARGV[3] then return 'stale' end
redis.call('HSET', job, 'version', ARGV[3], 'content_hash', ARGV[4], 'source_commit', ARGV[5],
  'rerouted_from', f[3], 'trial', '')
redis.call('HDEL', job, 'parent_arm') -- a child is of its parent's version no more
if f[4] and f[4] ~= '' then
  redis.call('HSET', job, 'left_trial', f[4])
  if not f[5] then -- a score that is settled stands
    redis.call('RPUSH', settlements, ARGV[6] .. ',"at":' .. stamp(now) .. '}')
    redis.call('SADD', moved, f[4])
  end
end
if f[1] == 'running' then redis.call('HINCRBY', job, 'fence', 1) end -- its last worker may not speak for it
emit(events, 'job.rerouted', now, id, cjson.encode({from = f[2] .. '@v' .. f[3], to = f[2] .. '@v' .. ARGV[3]}))
return 'ok'
