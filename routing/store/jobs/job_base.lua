-- The work of a running job has begun, or was put on another commit: note where.
-- KEYS  job
-- ARGV  fence: of the worker's lease
--       branch, commit: that the work began from
-- Returns 1 when it was noted, else 0: the lease was lost
local f = redis.call('HMGET', job, 'state', 'fence')
if f[1] ~= 'running' or f[2] ~= fence then return 0 end
redis.call('HSET', job, 'base_branch', branch, 'base_commit', commit)
return 1
