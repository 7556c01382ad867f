-- Settle mails that a turn claimed: they were delivered, or they go back to wait for the next turn.
-- KEYS  agent, waiting, claimed, mail_waiting, events, mail_dead, and for each mail  mail
-- ARGV  name: of the agent  fence: of the claim
--       outcome: 'acked', 'queued', or 'unread' (queued, and the attempt does not count)
--       most_attempts: claims of a mail before it is given up  retention_seconds  reason, and for each mail  id
-- Returns a word for each mail: 'acked', 'queued', 'dead', or 'stale' (it is not claimed with that fence, or no longer)
-- @include prelude
-- @include mail
local now = clock(time)
local answers, counts = {}, {acked = 0, queued = 0}

-- Only a mail that is claimed with the caller's fence is touched: after its lease it may be another turn's.
local function settle(mail, id)
  local f = redis.call('HMGET', mail, 'state', 'fence', 'attempts', 'sequence')
  if f[1] ~= 'claimed' or f[2] ~= fence then return 'stale' end
  redis.call('ZREM', claimed, id)
  redis.call('EXPIRE', mail, retention_seconds)
  if outcome == 'acked' then
    redis.call('HSET', mail, 'state', 'acked', 'settled_at', stamp(now))
    return 'acked'
  end
  if outcome == 'unread' then
    redis.call('HINCRBY', mail, 'attempts', -1)
  elseif tonumber(f[3]) >= tonumber(most_attempts) then
    local why = reason .. ', attempt ' .. f[3] .. ' of ' .. most_attempts
    bury(mail, id, mail_dead, events, now, tonumber(retention_seconds), why)
    return 'dead'
  end
  redis.call('HSET', mail, 'state', 'queued', 'fence', '0', 'reason', reason)
  redis.call('ZADD', waiting, f[4], id)
  redis.call('EXPIRE', waiting, retention_seconds)
  return 'queued'
end

for mail, id in each() do
  local word = settle(mail, id)
  answers[#answers + 1] = word
  if counts[word] then counts[word] = counts[word] + 1 end
end
if redis.call('HGET', agent, 'state') == 'live' then look_again(mail_waiting, name, waiting, claimed, now) end
if counts.acked > 0 then emit(events, 'mail.acked', now, name, cjson.encode({mails = counts.acked})) end
if counts.queued > 0 then
  emit(events, 'mail.returned', now, name, cjson.encode({mails = counts.queued, reason = reason}))
end
return answers
