-- Agree on where the work of a pair begins: the first of its two jobs that asks decides for both.
-- KEYS  job, partner: records of the two
-- ARGV  fence: of the job's claim  branch  commit
-- Returns {branch, commit}: what both begin from, or {} when the lease was lost
if redis.call('HGET', job, 'fence') ~= fence then return {} end
local known = redis.call('HMGET', partner, 'pair_branch', 'pair_commit')
if not known[2] then known = redis.call('HMGET', job, 'pair_branch', 'pair_commit') end
if not known[2] then
  known = {branch, commit}
  redis.call('HSET', job, 'pair_branch', branch, 'pair_commit', commit)
end
return known
