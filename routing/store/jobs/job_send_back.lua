-- Send a waiting job back to its agent for a corrective turn: place, queue, notes and event are one step, so that no
-- process that dies in between leaves work that runs without a slot, or with the hours of the turn before.
-- KEYS  job, signals, run: of the job  main_look: at the main branch of its repository  backlog: issue -> its record
--       backlog_working: items in progress  waiting, outbox, due: lists of jobs  events
-- ARGV  id: of the job  ref: its issue, or ''  fence: as read  reason  counter: field of the job that counts such turns
--       retention_seconds: of the notes of its run  event, data: its kind and its JSON
--       fields: JSON list of fields and values to write  facts: JSON list of signal ids and signals
-- FLAGS anew: the hour in which red work is corrected begins now
-- Returns 1 when the job is queued now; 0 when it has moved on, is to end, or is being merged at this moment
-- @include prelude
-- @include redmain
-- @include place
-- @include wait
local f = redis.call('HMGET', job, 'state', 'fence', 'cancel', 'merging', 'held_at', 'claimed_at')
if f[1] ~= 'waiting' or f[2] ~= fence or f[3] or f[4] then return 0 end
local now, written, new = clock(time), cjson.decode(fields), cjson.decode(facts)
if ref ~= '' then stand(ref, id, '', 0, '', false, now) end -- it goes on, and holds a place of its repository again
redis.call('ZREM', waiting, id)
end_wait(job, f[5], f[6], now)
redis.call('HDEL', job, 'hindrance', 'finished')
redis.call('HSET', job, 'state', 'queued', 'reason', reason, 'moved', '', 'attempts', '0', 'not_before', stamp(now),
  unpack(written))
redis.call('HINCRBY', job, counter, 1)
redis.call('HSET', run, 'aside', '')
if anew then redis.call('HSET', run, 'first_pushed_at', stamp(now)) end
redis.call('EXPIRE', run, retention_seconds)
for i = 1, #new, 2 do redis.call('HSETNX', signals, new[i], new[i + 1]) end
if #new > 0 then redis.call('ZADD', due, 'LT', now, id) end
redis.call('ZADD', outbox, now, id)
emit(events, event, now, id, data)
return 1
