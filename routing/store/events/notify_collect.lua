-- Let notifications wait for a sink and move its place in the event stream, if nobody has moved it meanwhile.
-- When too many wait, those that have been due longest become dead letters.
-- KEYS  sink, notes: notification -> its record, due: when each is to be sent, dead
-- ARGV  before: place as read, '' for a sink that has none yet  place: the new one
--       written: events ever written up to it, or ''  missed: events that were trimmed before they were read
--       most_waiting, most_dead: of this sink, and for each notification  id, record
-- Returns how many were not known, or -1 when the place is another one by now
-- @include prelude
-- @include notify
local now, new = clock(time), 0
if (redis.call('HGET', sink, 'place') or '') ~= before then return -1 end
redis.call('HSET', sink, 'place', place, 'written', written)
if missed ~= '0' then redis.call('HINCRBY', sink, 'missed', missed) end
for id, record in each() do
  if redis.call('HSETNX', notes, id, record) == 1 then
    -- due a moment ago, and microseconds apart, so that they are sent in the order in which they came
    local turn = redis.call('HINCRBY', sink, 'turn', 1) % 1000000
    redis.call('ZADD', due, stamp(now - 1 + turn / 1000000), id)
    new = new + 1
  end
end
local excess = redis.call('ZCARD', due) - tonumber(most_waiting)
if excess > 0 then
  for _, id in ipairs(redis.call('ZRANGE', due, 0, excess - 1)) do
    bury(notes, due, dead, id, now, tonumber(most_dead))
  end
end
return new
