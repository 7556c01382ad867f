-- Extend the leases of mails that a turn claimed.
-- KEYS  1 claimed  2 mail_waiting  3… mails
-- ARGV  1 now  2 agent's name  3 fence of the claim  4 seconds  5… ids of the mails
-- Returns how many of them are still claimed with that fence
-- @include prelude
local claimed, index = KEYS[1], KEYS[2]
local now, held = clock(ARGV[1]), 0
local ends = now + tonumber(ARGV[4])
for i = 3, #KEYS do
  local f = redis.call('HMGET', KEYS[i], 'state', 'fence', 'lease_until')
  if f[1] == 'claimed' and f[2] == ARGV[3] and tonumber(f[3]) > now then
    redis.call('HSET', KEYS[i], 'lease_until', stamp(ends))
    redis.call('ZADD', claimed, 'XX', ends, ARGV[i + 2])
    held = held + 1
  end
end
if held > 0 then redis.call('ZADD', index, 'XX', ends, ARGV[2]) end
return held
