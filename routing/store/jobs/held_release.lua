-- Put jobs that wait for room into the outbox, the longest waiting first, as many as there is room for. None of a
-- backtest while real work waits.
-- KEYS  held, outbox, leases, at_work, spent, paused
-- ARGV  agents_at_once, per_repository, day_cost_usd: the limits; 0 for none  most: jobs
-- Returns how many were put there
-- @include prelude
-- @include admission
local now, limits = clock(time), {tonumber(agents_at_once), tonumber(per_repository), tonumber(day_cost_usd)}
if redis.call('EXISTS', paused) == 1 or is_spent(spent, now, limits) then return 0 end
local real = redis.call('ZCOUNT', held, '-inf', '(' .. stamp(LAST))
local few = real > 0 and math.min(real, tonumber(most)) or tonumber(most)
local members = redis.call('ZRANGE', held, 0, few - 1)
local chosen = let_in(members, room_in_fleet(leases, now, limits), function(place)
  return room_at(at_work, leases, now, limits, place)
end)
for place, member in ipairs(chosen) do
  local _, id = parted(member)
  redis.call('ZREM', held, member)
  redis.call('ZADD', outbox, stamp(now - (#chosen - place) / 1000000), id) -- in their order
end
return #chosen
