-- Shared by the scripts of mail.

-- Give a mail up: it will not be delivered. The list of dead mail is kept as long as the mails in it.
local function bury(mail, id, dead, events, now, retention, reason)
  if redis.call('EXISTS', mail) == 0 then return end
  redis.call('HSET', mail, 'state', 'dead', 'settled_at', stamp(now), 'reason', reason, 'fence', '0')
  redis.call('ZADD', dead, now, id)
  redis.call('ZREMRANGEBYSCORE', dead, '-inf', now - retention)
  redis.call('EXPIRE', dead, retention)
  emit(events, 'mail.dead', now, id, cjson.encode({reason = reason, to = redis.call('HGET', mail, 'recipient')}))
end

-- Set when an agent's mailbox must be looked at again: at once, when a lease of its mail ends, or never.
local function look_again(index, agent, waiting, claimed, now)
  local first = redis.call('ZRANGE', claimed, 0, 0, 'WITHSCORES')
  if redis.call('ZCARD', waiting) > 0 then
    redis.call('ZADD', index, now, agent)
  elseif first[2] then
    redis.call('ZADD', index, first[2], agent)
  else
    redis.call('ZREM', index, agent)
  end
end
