-- Note what the forge said of an issue that items wait for and that is no item itself.
-- KEYS  1 items  2 edges  3 outside  4 asks  5 ready  6 open  7 working  8 finished  9 events  10 states
-- ARGV  1 now  2 what an unknown blocker is  3 ref  4 'open'|'closed'|'missing', or '' when it gave no answer
--       5 seconds until it is asked again
-- Returns 'ok' | 'unneeded' when nothing waits for it any more, or it became an item
-- @include prelude
-- @include backlog
local now, ref, said = clock(ARGV[1]), ARGV[3], ARGV[4]
watch(ref, now)
if not redis.call('ZSCORE', asks, ref) then return 'unneeded' end
redis.call('ZADD', asks, now + tonumber(ARGV[5]), ref)
if said == '' then return 'ok' end
local before = redis.call('HGET', outside, ref)
redis.call('HSET', outside, ref, said)
if said == 'closed' or (said == 'missing' and missing_is == 'satisfied') then redis.call('ZREM', asks, ref) end
if said == before then return 'ok' end
if said == 'missing' then
  emit(events, 'backlog.unknown_blocker', now, ref,
    cjson.encode({taken_for = missing_is, wait = table.concat(neighbours('>', ref), ' ')}))
end
refresh({ref}, now)
return 'ok'
