-- Open a trial: the pending version becomes canary; the champion stays champion, and is pinned.
-- KEYS  template, trial, trials_open, events
-- ARGV  name: of the template  number: of the canary  id: of the trial
--       before: number of trials before this one, as read  share  policy: JSON
--       bet: what the first bets freeze, JSON list of fields and values  mode  strata  settle_deadline_seconds
--       data: of the event, as JSON
--       way_before: of the template, as read, or ''  way: with this trial, or '' outside ways  mark: its version and this trial
--       step, steps: which step of which
-- Returns {'ok'}, {'stale'} (another trial was opened since), {'unknown'} (no such version), {'no champion'},
--         {'open'} (a trial is open), {'way'} (another way, or another step of it, was begun since), or
--         {'state', the version's}: that does not allow it
-- @include prelude
-- @include versions
local now = clock(time)
local champion = redis.call('HGET', template, 'champion')
local state = state_of(template, number)
if not state then return {'unknown'} end
if not champion then return {'no champion'} end
if redis.call('HEXISTS', template, 'trial') == 1 then return {'open'} end
if (redis.call('HGET', template, 'way') or '') ~= way_before then return {'way'} end
if state ~= 'pending' then return {'state', state} end
if (redis.call('HGET', template, 'trials') or '0') ~= before then return {'stale'} end
-- The id holds the number of trials, which is still the one that was read: no record is written over.
redis.call('HSET', trial, 'v', '1', 'template', name, 'champion', champion, 'canary', number,
  'state', 'open', 'share', share, 'policy', policy, 'opened_at', stamp(now), 'mode', mode, 'strata', strata,
  'settle_deadline_seconds', settle_deadline_seconds, 'revision', '0')
redis.call('HSET', trial, unpack(cjson.decode(bet)))
redis.call('SADD', trials_open, id)
redis.call('HINCRBY', template, 'trials', 1)
redis.call('HSET', template, 'trial', id)
at_step(template, trial, number, way, mark, step, steps)
set_state(template, number, 'canary')
touch(template)
emit(events, 'candidate.canary_started', now, name .. '@v' .. number, data)
return {'ok'}
