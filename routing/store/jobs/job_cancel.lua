-- Ask that a running job be cancelled; its worker, or the sweep when that is lost, carries it out.
-- KEYS  1 job  2 events  3 children  4 bereaved
-- ARGV  1 now  2 job id  3 reason
-- Returns 'ok'|'unchanged'|'missing'|the state that does not allow it
-- @include prelude
-- @include family
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 'missing' end
if state ~= 'running' then return state end
if redis.call('HSETNX', KEYS[1], 'cancel', ARGV[3]) == 0 then return 'unchanged' end
bereave(KEYS[4], KEYS[3], ARGV[2])
emit(KEYS[2], 'job.cancelling', clock(ARGV[1]), ARGV[2], cjson.encode({reason = ARGV[3]}))
return 'ok'
