-- Let notifications wait for a sink and move its place in the event stream, if nobody has moved it meanwhile.
-- When too many wait, the ones that are due the longest become dead letters.
-- KEYS  1 sink  2 notes: id -> record  3 due: when each is to be sent  4 dead
-- ARGV  1 now  2 place as read, '' for a sink that has none yet  3 new place  4 events ever written up to it, or ''
--       5 events that were trimmed before they were read  6 most that wait  7 most dead
--       8… id and record of each notification
-- Returns how many were not known, or -1: the place is another one by now
-- @include prelude
-- @include notify
local sink, notes, due, dead = unpack(KEYS)
local now, new = clock(ARGV[1]), 0
if (redis.call('HGET', sink, 'place') or '') ~= ARGV[2] then return -1 end
redis.call('HSET', sink, 'place', ARGV[3], 'written', ARGV[4])
if ARGV[5] ~= '0' then redis.call('HINCRBY', sink, 'missed', ARGV[5]) end
for i = 8, #ARGV, 2 do
  if redis.call('HSETNX', notes, ARGV[i], ARGV[i + 1]) == 1 then
    -- a moment ago, and by microseconds in the order in which they came
    local turn = redis.call('HINCRBY', sink, 'turn', 1) % 1000000
    redis.call('ZADD', due, stamp(now - 1 + turn / 1000000), ARGV[i])
    new = new + 1
  end
end
local over = redis.call('ZCARD', due) - tonumber(ARGV[6])
if over > 0 then
  for _, id in ipairs(redis.call('ZRANGE', due, 0, over - 1)) do bury(notes, due, dead, id, now, tonumber(ARGV[7])) end
end
return new
