-- An agent has finished: it gets no more mail, and what still waits for it is dead.
-- KEYS  1 agent  2 agents  3 events  4 waiting  5 claimed  6 mail_waiting  7 mail_dead  8… its unsettled mails
-- ARGV  1 now  2 name  3 reason  4 retention, seconds  5 event data  6… ids of the mails
-- Returns 'ok'|'unchanged'|'unknown'|'again' (mail came meanwhile: read the ids anew)
-- @include prelude
-- @include mail
local agent, agents, events, waiting, claimed, index, dead = unpack(KEYS)
local now, name, reason, retention = clock(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local state = redis.call('HGET', agent, 'state')
if not state then return 'unknown' end
if state == 'finished' then return 'unchanged' end
if redis.call('ZCARD', waiting) + redis.call('ZCARD', claimed) ~= #KEYS - 7 then return 'again' end
for i = 8, #KEYS do
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
