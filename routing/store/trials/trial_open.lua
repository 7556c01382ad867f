-- Open a trial: the pending version becomes canary, the champion stays what it is and is pinned.
-- KEYS  1 template  2 trial  3 trials:open  4 events
-- ARGV  1 now  2 name  3 canary's number  4 trial id  5 number of trials before this one, as read
--       6 share  7 policy JSON  8 first baseline  9 first guardrail baselines, JSON  10 event data
--       11 strata  12 settle deadline, seconds
-- Returns 'ok'|'stale'|'unknown'|'no champion'|'open' |the state that does not allow it
-- @include prelude
-- @include versions
local template, trial_key, open, events = unpack(KEYS)
local now, name, number, trial = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local champion = redis.call('HGET', template, 'champion')
local state = state_of(template, number)
if not state then return 'unknown' end
if not champion then return 'no champion' end
if redis.call('HEXISTS', template, 'trial') == 1 then return 'open' end
if state ~= 'pending' then return state end
if (redis.call('HGET', template, 'trials') or '0') ~= ARGV[5] then return 'stale' end
redis.call('HSET', trial_key, 'v', '1', 'template', name, 'champion', champion, 'canary', number,
  'state', 'open', 'share', ARGV[6], 'policy', ARGV[7], 'opened_at', stamp(now), 'baseline', ARGV[8],
  'guardrail_baselines', ARGV[9], 'strata', ARGV[11], 'settle_deadline_seconds', ARGV[12], 'revision', '0')
redis.call('SADD', open, trial)
redis.call('HINCRBY', template, 'trials', 1)
redis.call('HSET', template, 'trial', trial)
if redis.call('HGET', template, 'waiting') == number then redis.call('HDEL', template, 'waiting') end
set_state(template, number, 'canary')
touch(template)
emit(events, 'candidate.canary_started', now, name .. '@v' .. number, ARGV[10])
return 'ok'
