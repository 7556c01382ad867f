-- Forget items that were finished long ago, and all of those beyond a number, the oldest first.
-- KEYS  1 items  2 edges  3 outside  4 asks  5 ready  6 open  7 working  8 finished  9 events  10 states
-- ARGV  1 now  2 what an unknown blocker is  3 finished before this time, seconds since the epoch
--       4 most finished items that are kept  5 most that are forgotten in this step
-- Returns how many were forgotten
-- @include prelude
-- @include backlog
local now, most = clock(ARGV[1]), tonumber(ARGV[5])
local excess = redis.call('ZCARD', finished) - tonumber(ARGV[4])
local old = redis.call('ZCOUNT', finished, '-inf', '(' .. ARGV[3])
local count = math.min(most, math.max(excess, old))
if count <= 0 then return 0 end
local forgotten = 0
for _, ref in ipairs(redis.call('ZRANGE', finished, 0, count - 1)) do
  local item = load(ref)
  local waiting = 0
  for _, other in ipairs(neighbours('>', ref)) do
    if redis.call('ZSCORE', open, other) then waiting = waiting + 1 end
  end
  if item and item.state == 'cancelled' and waiting > 0 then
    redis.call('ZADD', finished, now, ref) -- somebody still waits for it: it says why
  else
    redis.call('HDEL', items, ref)
    redis.call('ZREM', finished, ref)
    if item then redis.call('ZREM', states, shelf(ref, item.state)) end
    book[ref] = false
    declare(ref, item and item.edges or '', '', now)
    watch(ref, now)
    if item and item.state == 'completed' and redis.call('ZREM', asks, ref) == 1 then
      redis.call('HSET', outside, ref, 'closed') -- it was, and those that name it need not ask
    end
    forgotten = forgotten + 1
  end
end
return forgotten
