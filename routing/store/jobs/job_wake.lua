-- Mail arrived for the agent of a job that waits for it: the job's message is due now.
-- KEYS  1 job  2 outbox  3 events
-- ARGV  1 now  2 job id
-- Returns 'ok'|'missing'|'due' (it waits no longer)|'other' (its next turn is not about mail)
--         |the state in which nobody waits for mail
-- @include prelude
local job, outbox, events = unpack(KEYS)
local now, id = clock(ARGV[1]), ARGV[2]
local f = redis.call('HMGET', job, 'state', 'kind', 'not_before')
if not f[1] then return 'missing' end
if f[1] ~= 'queued' then return f[1] end
if f[2] ~= 'mail' then return 'other' end
if not f[3] or tonumber(f[3]) <= now then return 'due' end
redis.call('HSET', job, 'not_before', stamp(now))
redis.call('ZADD', outbox, now, id)
emit(events, 'job.woken', now, id, '{}')
return 'ok'
