-- Shared by the scripts of notifications.

-- Give a notification up: it becomes a dead letter. When there are too many of those, the oldest are forgotten.
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
