-- Put jobs that wait for an account into the outbox, the oldest first: all of a gate that is open, and one of a gate
-- whose account is to be tried. A gate whose version was rejected lets all go, to the champion.
-- KEYS  day_costs: sums of today  limited, gates, breakers, leases, outbox, paused, rejected, trials_open
-- ARGV  most: jobs of one gate  again_seconds: until another job may try an account that nobody has taken
-- Returns how many were put there
-- @include prelude
-- @include breakers
-- @include accounts
if redis.call('EXISTS', paused) == 1 then return 0 end
local now, released = clock(time), 0
local all = redis.call('HGETALL', gates)
for at = 1, #all, 2 do
  local digest, text = all[at], all[at + 1]
  if string.sub(digest, 1, 1) ~= '!' then
    local gate = cjson.decode(text)
    local few, room, how = '!' .. digest, 0, nil
    if redis.call('SISMEMBER', rejected, gate.version) == 1 then
      room = tonumber(most)
    else
      local own, stands = through(gate, breakers, leases, trials_open, now, '', day_costs)
      how = own and stands
      if how == 'open' then room = tonumber(most) end
      local last = tonumber(redis.call('HGET', gates, few) or 0)
      if how == 'probe' and now - last >= tonumber(again_seconds) then room = 1 end
    end
    local low, high = '[' .. digest .. ':', '(' .. digest .. ':~'
    local members = room > 0 and redis.call('ZRANGEBYLEX', limited, low, high, 'LIMIT', 0, room) or {}
    for place, member in ipairs(members) do
      redis.call('ZREM', limited, member)
      redis.call('ZADD', outbox, stamp(now - (#members - place) / 1000000), string.match(member, '([^:]+)$'))
      released = released + 1
    end
    if how == 'probe' and #members > 0 then redis.call('HSET', gates, few, stamp(now)) end
    if redis.call('ZLEXCOUNT', limited, low, high) == 0 then
      redis.call('HDEL', gates, digest)
      if how ~= 'probe' then redis.call('HDEL', gates, few) end
    end
  end
end
-- What was noted of gates that are gone.
for at = 1, #all, 2 do
  local name = all[at]
  if string.sub(name, 1, 1) == '!' and now - tonumber(all[at + 1]) > 60 then redis.call('HDEL', gates, name) end
end
return released
