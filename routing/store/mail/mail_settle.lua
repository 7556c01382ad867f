-- Settle mails that a turn claimed: they were delivered, or they go back to wait for the next turn.
-- KEYS  1 agent  2 waiting  3 claimed  4 mail_waiting  5 events  6 mail_dead  7… mails
-- ARGV  1 now  2 agent's name  3 fence of the claim  4 'acked', 'queued', or 'unread' (queued, and the attempt does
--         not count)  5 most attempts  6 retention, seconds  7 reason  8… ids of the mails
-- Returns a word for each mail: 'acked'|'queued'|'dead'|'stale' (it is not, or no more, claimed with that fence)
-- @include prelude
-- @include mail
local agent, waiting, claimed, index, events, dead = unpack(KEYS)
local now, name, retention = clock(ARGV[1]), ARGV[2], tonumber(ARGV[6])
local answers, counts = {}, {acked = 0, queued = 0}

local function settle(mail, id)
  local f = redis.call('HMGET', mail, 'state', 'fence', 'attempts', 'sequence')
  if f[1] ~= 'claimed' or f[2] ~= ARGV[3] then return 'stale' end
  redis.call('ZREM', claimed, id)
  redis.call('EXPIRE', mail, retention)
  if ARGV[4] == 'acked' then
    redis.call('HSET', mail, 'state', 'acked', 'settled_at', stamp(now))
    return 'acked'
  end
  if ARGV[4] == 'unread' then
    redis.call('HINCRBY', mail, 'attempts', -1)
  elseif tonumber(f[3]) >= tonumber(ARGV[5]) then
    bury(mail, id, dead, events, now, retention, ARGV[7] .. ', attempt ' .. f[3] .. ' of ' .. ARGV[5])
    return 'dead'
  end
  redis.call('HSET', mail, 'state', 'queued', 'fence', '0', 'reason', ARGV[7])
  redis.call('ZADD', waiting, f[4], id)
  redis.call('EXPIRE', waiting, retention)
  return 'queued'
end

for i = 7, #KEYS do
  local word = settle(KEYS[i], ARGV[i + 1])
  answers[#answers + 1] = word
  if counts[word] then counts[word] = counts[word] + 1 end
end
if redis.call('HGET', agent, 'state') == 'live' then look_again(index, name, waiting, claimed, now) end
if counts.acked > 0 then emit(events, 'mail.acked', now, name, cjson.encode({mails = counts.acked})) end
if counts.queued > 0 then
  emit(events, 'mail.returned', now, name, cjson.encode({mails = counts.queued, reason = ARGV[7]}))
end
return answers
