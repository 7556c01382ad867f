-- An agent has finished: it gets no more mail, and what still waits for it is dead.
-- KEYS  1 agent  2 agents  3 events  4 waiting  5 claimed  6 mail_waiting  7 mail_dead
--       8 the job that it ends with, or agent again  9… its unsettled mails
-- ARGV  1 now  2 name  3 reason  4 retention, seconds  5 event data
--       6 states of that job in which it is over, separated by commas, or '' for no job  7… ids of the mails
-- Returns 'ok'|'unchanged'|'unknown'|'again' (mail came meanwhile: read the ids anew)|'needed' (the job goes on)
-- @include prelude
-- @include mail
local agent, agents, events, waiting, claimed, index, dead = unpack(KEYS)
local now, name, reason, retention = clock(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local state = redis.call('HGET', agent, 'state')
if not state then return 'unknown' end
if state == 'finished' then return 'unchanged' end
if ARGV[6] ~= '' then
  local job = redis.call('HGET', KEYS[8], 'state')
  if job and not string.find(',' .. ARGV[6] .. ',', ',' .. job .. ',', 1, true) then return 'needed' end
end
if redis.call('ZCARD', waiting) + redis.call('ZCARD', claimed) ~= #KEYS - 8 then return 'again' end
for i = 9, #KEYS do
  local id = ARGV[i - 2]
  if redis.call('ZSCORE', waiting, id) or redis.call('ZSCORE', claimed, id) then
    bury(KEYS[i], id, dead, events, now, retention, 'its agent has finished: ' .. reason)
  end
end
redis.call('DEL', waiting, claimed)
redis.call('ZREM', index, name)
redis.call('HSET', agent, 'state', 'finished', 'finished_at', stamp(now), 'reason', reason)
redis.call('EXPIRE', agent, retention)
redis.call('SREM', agents, name)
emit(events, 'agent.finished', now, name, ARGV[5])
return 'ok'
