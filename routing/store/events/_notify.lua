-- Shared by the scripts of notifications.

-- A notification is not sent any more; of the dead letters the oldest go when there are too many.
local function bury(notes, due, dead, id, now, most)
  redis.call('ZREM', due, id)
  redis.call('ZADD', dead, now, id)
  local over = redis.call('ZCARD', dead) - most
  if over > 0 then
    for _, old in ipairs(redis.call('ZRANGE', dead, 0, over - 1)) do
      redis.call('ZREM', dead, old)
      redis.call('HDEL', notes, old)
    end
  end
end
