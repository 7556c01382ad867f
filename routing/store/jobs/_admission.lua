-- Shared by the scripts that decide which job may begin. A *place* is the beginning of all names of jobs of one
-- repository, '' for jobs of none; its length comes first, so that no repository's is the beginning of another's.
local LAST = 1e11 -- added to the age of jobs of backtests, in seconds: they come after all real work
local FEW = 200 -- of those that wait are looked at in one step

local function place_of(repository)
  if not repository or repository == '' then return '' end
  return #repository .. ':' .. repository .. ':'
end

-- The parts of PLACE .. ID.
local function parted(member)
  local digits = string.match(member, '^(%d+):')
  local length = digits and #digits + 2 + tonumber(digits) or 0
  return string.sub(member, 1, length), string.sub(member, length + 1)
end

local function day_of(now) return string.format('%d', math.floor(now / 86400)) end

-- limits: agents at once, jobs a repository, USD a day; 0: none
local function room_in_fleet(leases, now, limits)
  if limits[1] <= 0 then return math.huge end
  return limits[1] - redis.call('ZCOUNT', leases, '(' .. stamp(now), '+inf')
end

-- What looks full is counted again by the leases: jobs that have ended, or whose lease ran out, keep nobody waiting.
local function room_at(at_work, leases, now, limits, place)
  if limits[2] <= 0 or place == '' then return math.huge end
  local low, high = '[' .. place, '(' .. place .. '~'
  local count = redis.call('ZLEXCOUNT', at_work, low, high)
  if count < limits[2] then return limits[2] - count end
  count = 0
  for _, member in ipairs(redis.call('ZRANGEBYLEX', at_work, low, high)) do
    local _, id = parted(member)
    local ends = redis.call('ZSCORE', leases, id)
    if not ends then
      redis.call('ZREM', at_work, member)
    elseif tonumber(ends) > now then
      count = count + 1
    end
  end
  return limits[2] - count
end

local function is_spent(spent, now, limits)
  return limits[3] > 0 and tonumber(redis.call('HGET', spent, day_of(now)) or 0) >= limits[3]
end

-- What jobs have cost, by day; a week of it is kept.
local function count_cost(spent, now, usd)
  redis.call('HINCRBYFLOAT', spent, day_of(now), string.format('%.6f', usd))
  redis.call('HDEL', spent, day_of(now - 7 * 86400))
  redis.call('EXPIRE', spent, 7 * 86400)
end

-- Let in, in their order, those of `members` that there is room for; returns them, and the room that is left.
local function let_in(members, room, room_of)
  local chosen, rooms = {}, {}
  for _, member in ipairs(members) do
    if room <= 0 then break end
    local place = parted(member)
    if not rooms[place] then rooms[place] = room_of(place) end
    if rooms[place] > 0 then
      rooms[place], room = rooms[place] - 1, room - 1
      chosen[#chosen + 1] = member
    end
  end
  return chosen, room, rooms
end
