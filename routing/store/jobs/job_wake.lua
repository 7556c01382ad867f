-- Mail arrived for the agent of a job that waits for it: the job's message is due now.
-- KEYS  job, outbox, events
-- ARGV  id: of the job
-- Returns 1 when the job waited for mail, else 0: it is not queued, its next turn is about something else, or its
-- message was due already
-- @include prelude
local now = clock(time)
local f = redis.call('HMGET', job, 'state', 'kind', 'not_before')
if f[1] ~= 'queued' or f[2] ~= 'mail' or not f[3] or tonumber(f[3]) <= now then return 0 end
redis.call('HSET', job, 'not_before', stamp(now))
redis.call('ZADD', outbox, now, id)
emit(events, 'job.woken', now, id, '{}')
return 1
