-- Forget items that were finished long ago, and all of those beyond a number, the oldest first.
-- KEYS  backlog, backlog_edges, backlog_outside, backlog_asks, backlog_ready, backlog_open, backlog_working,
--       backlog_finished, backlog_states, events: see _backlog.lua
-- ARGV  unknown_blocker  before: those finished before this time, seconds since the epoch
--       most_kept: finished items that are kept at most  most: items that this step forgets at most
-- Returns how many were forgotten
-- @include prelude
-- @include backlog
local now = clock(time)
local excess = redis.call('ZCARD', finished) - tonumber(most_kept)
local old = redis.call('ZCOUNT', finished, '-inf', '(' .. before)
local count = math.min(tonumber(most), math.max(excess, old))
if count <= 0 then return 0 end
local forgotten = 0
for _, ref in ipairs(redis.call('ZRANGE', finished, 0, count - 1)) do
  local item = load(ref)
  local waiting = 0
  for _, other in ipairs(neighbours('>', ref)) do
    if redis.call('ZSCORE', open, other) then waiting = waiting + 1 end
  end
  if item and item.state == 'cancelled' and waiting > 0 then
    redis.call('ZADD', finished, now, ref) -- an item waits for it: its record says why
  else
    redis.call('HDEL', items, ref)
    redis.call('ZREM', finished, ref)
    if item then redis.call('ZREM', states, shelf(ref, item.state)) end
    book[ref] = false
    declare(ref, item and item.edges or '', '', now)
    watch(ref, now)
    if item and item.state == 'completed' and redis.call('ZREM', asks, ref) == 1 then
      redis.call('HSET', outside, ref, 'closed') -- so those that name it need not ask
    end
    forgotten = forgotten + 1
  end
end
return forgotten
