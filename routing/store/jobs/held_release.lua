-- Put jobs that wait for room into the outbox, the longest waiting first, as many as there is room for.
-- KEYS  1 held  2 outbox  3 leases  4 at_work  5 spent  6 paused
-- ARGV  1 now  2 agents at once  3 jobs a repository  4 USD a day; 0: no limit  5 most jobs
-- Returns how many were put there
-- @include prelude
-- @include admission
local held, outbox, leases, at_work, spent, paused = unpack(KEYS)
local now, limits = clock(ARGV[1]), {tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])}
if redis.call('EXISTS', paused) == 1 or is_spent(spent, now, limits) then return 0 end
local members = redis.call('ZRANGE', held, 0, tonumber(ARGV[5]) - 1)
local chosen = let_in(members, room_in_fleet(leases, now, limits), function(place)
  return room_at(at_work, leases, now, limits, place)
end)
for place, member in ipairs(chosen) do
  local _, id = parted(member)
  redis.call('ZREM', held, member)
  redis.call('ZADD', outbox, stamp(now - (#chosen - place) / 1000000), id) -- in their order
end
return #chosen
