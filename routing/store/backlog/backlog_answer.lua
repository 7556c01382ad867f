-- Note what the forge said about an issue that items wait for and that is not an item itself.
-- KEYS  backlog, backlog_edges, backlog_outside, backlog_asks, backlog_ready, backlog_open, backlog_working,
--       backlog_finished, backlog_states, events: see _backlog.lua
-- ARGV  unknown_blocker  ref: the issue  said: 'open', 'closed', 'missing', or '' when it gave no answer
--       again_seconds: until it is asked again
-- Returns 1, or 0 when nothing waits for the issue any longer, or it became an item
-- @include prelude
-- @include backlog
local now = clock(time)
watch(ref, now)
if not redis.call('ZSCORE', asks, ref) then return 0 end
redis.call('ZADD', asks, now + tonumber(again_seconds), ref)
if said == '' then return 1 end
local before = redis.call('HGET', outside, ref)
redis.call('HSET', outside, ref, said)
if said == 'closed' or (said == 'missing' and unknown_blocker == 'satisfied') then redis.call('ZREM', asks, ref) end
if said == before then return 1 end
if said == 'missing' then
  emit(events, 'backlog.unknown_blocker', now, ref,
    cjson.encode({taken_for = unknown_blocker, wait = table.concat(neighbours('>', ref), ' ')}))
end
refresh({ref}, now)
return 1
