-- Extend the leases of mails that a turn claimed, also those that ran out, unless another turn has claimed them.
-- KEYS  claimed, mail_waiting, and for each mail  mail
-- ARGV  name: of the agent  fence: of the claim  extend_seconds, and for each mail  id
-- Returns how many of them are still claimed with that fence
-- @include prelude
local now, held = clock(time), 0
local ends = now + tonumber(extend_seconds)
for mail, id in each() do
  local f = redis.call('HMGET', mail, 'state', 'fence')
  if f[1] == 'claimed' and f[2] == fence then
    redis.call('HSET', mail, 'lease_until', stamp(ends))
    redis.call('ZADD', claimed, 'XX', ends, id)
    held = held + 1
  end
end
if held > 0 then redis.call('ZADD', mail_waiting, 'XX', ends, name) end
return held
