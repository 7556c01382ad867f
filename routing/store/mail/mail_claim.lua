-- Claim mail for a turn of an agent: what waits, and what an earlier turn claimed and did not settle in time.
-- KEYS  1 agent  2 waiting  3 claimed  4 mail_waiting  5 mail_sequence  6 events  7 mail_dead  8… mails
-- ARGV  1 now  2 agent's name  3 lease, seconds  4 most attempts  5 retention, seconds  6… ids of the mails
-- Returns {'ok', fence, {field, value, …} of each claimed mail}, in no order | {'unknown'|'finished'}
-- @include prelude
-- @include mail
local agent, waiting, claimed, index, sequence, events, dead = unpack(KEYS)
local now, name, retention = clock(ARGV[1]), ARGV[2], tonumber(ARGV[5])
local state = redis.call('HGET', agent, 'state')
if not state then return {'unknown'} end
if state ~= 'live' then return {'finished'} end
local ends, fence, answer = now + tonumber(ARGV[3]), '0', {}

local function free(mail, id)
  local until_ = redis.call('ZSCORE', claimed, id)
  if not until_ then return redis.call('ZREM', waiting, id) == 1 end
  if tonumber(until_) > now then return false end
  redis.call('ZREM', claimed, id)
  if tonumber(redis.call('HGET', mail, 'attempts') or 0) < tonumber(ARGV[4]) then return true end
  bury(mail, id, dead, events, now, retention, 'no turn settled it in ' .. ARGV[4] .. ' attempts')
  return false
end

for i = 8, #KEYS do
  local mail, id = KEYS[i], ARGV[i - 2]
  if free(mail, id) and redis.call('EXISTS', mail) == 1 then
    if fence == '0' then fence = string.format('%d', redis.call('INCR', sequence)) end
    redis.call('HINCRBY', mail, 'attempts', 1)
    redis.call('HSET', mail, 'state', 'claimed', 'fence', fence, 'lease_until', stamp(ends))
    redis.call('EXPIRE', mail, retention)
    redis.call('ZADD', claimed, ends, id)
    redis.call('EXPIRE', claimed, retention)
    answer[#answer + 1] = redis.call('HGETALL', mail)
  end
end
look_again(index, name, waiting, claimed, now)
if #answer > 0 then
  emit(events, 'mail.claimed', now, name, cjson.encode({mails = #answer, fence = tonumber(fence)}))
end
table.insert(answer, 1, fence)
table.insert(answer, 1, 'ok')
return answer
