-- Shared by the scripts that take what somebody else has leased, and by the pulse. Needs `prelude`.
-- The pulse is a hash: at (of the last sweep), mark (of the store), and after a time without sweeps, as before the
-- first: from, grace_until.
-- Where all stood still (the server was away, the machine slept), leases ran out that nobody could renew. So their
-- holders get some seconds first.

-- Seconds without a sweep after which holders get that, and how many they get.
local GAP, GRACE = 5, 5

local function beat(pulse, now)
  local at = redis.call('HGET', pulse, 'at')
  if not at or now - tonumber(at) > GAP then
    redis.call('HSET', pulse, 'from', at or '0', 'grace_until', stamp(now + GRACE))
  end
  redis.call('HSET', pulse, 'at', stamp(now))
end

-- Whether a lease is lost: its end is over, and its holder was able to renew it before.
local function is_lost(pulse, ends, now)
  if ends > now then return false end
  local at = redis.call('HGET', pulse, 'at')
  if not at then return true end -- there is no sweep to go by
  if now - tonumber(at) > GAP then beat(pulse, now) end
  local f = redis.call('HMGET', pulse, 'from', 'grace_until')
  return not (f[1] and ends > tonumber(f[1]) and now < tonumber(f[2]))
end
