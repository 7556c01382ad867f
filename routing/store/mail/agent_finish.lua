-- An agent has ended: it gets no more mail, and what still waits for it is dead.
-- KEYS  agent, waiting, claimed, job: that it ends with (or the agent again), agents, events, mail_waiting,
--       mail_dead, and for each of its unsettled mails  mail
-- ARGV  name: of the agent  reason  retention_seconds  data: of the event, as JSON
--       final_states: states in which that job is over, separated by commas, or '' for no job
--       count: of the mails, and for each of them  id
-- Returns 'ok', 'unchanged', 'unknown', 'again' (mail came meanwhile: read the mails once more), or 'needed' (the
--         job goes on)
-- @include prelude
-- @include mail
local now = clock(time)
local state = redis.call('HGET', agent, 'state')
if not state then return 'unknown' end
if state == 'finished' then return 'unchanged' end
if final_states ~= '' then
  local found = redis.call('HGET', job, 'state')
  if found and not string.find(',' .. final_states .. ',', ',' .. found .. ',', 1, true) then return 'needed' end
end
-- Keys must be declared before a script runs: the mails that the caller read must be all that there are.
if redis.call('ZCARD', waiting) + redis.call('ZCARD', claimed) ~= tonumber(count) then return 'again' end
for mail, id in each() do
  if redis.call('ZSCORE', waiting, id) or redis.call('ZSCORE', claimed, id) then
    bury(mail, id, mail_dead, events, now, tonumber(retention_seconds), 'its agent has finished: ' .. reason)
  end
end
redis.call('DEL', waiting, claimed)
redis.call('ZREM', mail_waiting, name)
redis.call('HSET', agent, 'state', 'finished', 'finished_at', stamp(now), 'reason', reason)
redis.call('EXPIRE', agent, retention_seconds)
redis.call('SREM', agents, name)
emit(events, 'agent.finished', now, name, data)
return 'ok'
