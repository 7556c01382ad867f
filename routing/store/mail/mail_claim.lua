-- Claim mail for a turn of an agent: what waits, and what an earlier turn claimed and did not settle in time.
-- KEYS  agent, waiting, claimed, mail_waiting, mail_sequence, events, mail_dead, and for each mail  mail
-- ARGV  name: of the agent  lease_seconds  most_attempts: claims of a mail before it is given up
--       retention_seconds  call_id: of this claim; with the same one it may be made again
--       and for each mail  id
-- Returns {'ok', fence, {field, value, …} of each claimed mail} in no order, {'unknown'} or {'finished'}
-- @include prelude
-- @include mail
local now = clock(time)
local state = redis.call('HGET', agent, 'state')
if not state then return {'unknown'} end
if state ~= 'live' then return {'finished'} end
-- The fence is new for each claim that gets any mail, so that an earlier turn cannot settle what this one has.
local ends, fence, answer = now + tonumber(lease_seconds), '0', {}

-- Whether a mail can be claimed now; one that too many turns have claimed is given up.
local function free(mail, id)
  local until_ = redis.call('ZSCORE', claimed, id)
  if not until_ then return redis.call('ZREM', waiting, id) == 1 end
  if tonumber(until_) > now then return false end
  redis.call('ZREM', claimed, id)
  if tonumber(redis.call('HGET', mail, 'attempts') or 0) < tonumber(most_attempts) then return true end
  local why = 'no turn settled it in ' .. most_attempts .. ' attempts'
  bury(mail, id, mail_dead, events, now, tonumber(retention_seconds), why)
  return false
end

-- The answer to the first call was lost: what it has claimed is claimed by this one, under the same fence.
local ours = {}
for mail, id in each() do
  local f = redis.call('HMGET', mail, 'claim', 'state', 'fence')
  if call_id ~= '' and f[1] == call_id and f[2] == 'claimed' then
    ours[id], fence = true, f[3]
    answer[#answer + 1] = redis.call('HGETALL', mail)
  end
end
local found = #answer
for mail, id in each() do
  if not ours[id] and free(mail, id) and redis.call('EXISTS', mail) == 1 then
    if fence == '0' then fence = string.format('%d', redis.call('INCR', mail_sequence)) end
    redis.call('HINCRBY', mail, 'attempts', 1)
    redis.call('HSET', mail, 'state', 'claimed', 'fence', fence, 'lease_until', stamp(ends), 'claim', call_id)
    redis.call('EXPIRE', mail, retention_seconds)
    redis.call('ZADD', claimed, ends, id)
    redis.call('EXPIRE', claimed, retention_seconds)
    answer[#answer + 1] = redis.call('HGETALL', mail)
  end
end
look_again(mail_waiting, name, waiting, claimed, now)
if #answer > found then
  emit(events, 'mail.claimed', now, name, cjson.encode({mails = #answer - found, fence = tonumber(fence)}))
end
table.insert(answer, 1, fence)
table.insert(answer, 1, 'ok')
return answer
