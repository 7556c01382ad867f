-- Write the next state of a trial's test and, with it, its verdict. Exactly once, however many processes race: the revision must be
-- the one that the new state was computed from, and only an open trial takes a verdict.
-- KEYS  trial, template, reviews, history, trials_open, champions, rejected, events
-- ARGV  id: of the trial  name: of the template  revision: as read  evidence: JSON  share: of the next draw
--       baselines: JSON list of fields and values  verdict: 'hold', 'graduate', 'roll_back' or 'expire'  reason
--       review: JSON of the decision, or ''  point: JSON for the plot over time, or ''
--       alarms: names of the checks of its health that hold a verdict, or ''  alarm: JSON that says what they found
-- FLAGS contradicted: signals after the verdict no longer support it
-- Returns 'ok', 'stale' (somebody else advanced it), 'closed' (it takes no verdict any longer) or 'unknown'
-- @include prelude
-- @include versions
local now = clock(time)
local state = redis.call('HGET', trial, 'state')
if not state then return 'unknown' end
if redis.call('HGET', trial, 'revision') ~= revision then return 'stale' end
if state ~= 'open' and verdict ~= 'hold' then return 'closed' end
redis.call('HINCRBY', trial, 'revision', 1)
redis.call('HSET', trial, 'evidence', evidence)
if point ~= '' then redis.call('RPUSH', history, point) end
-- A trial that has ended only counts on, so that late signals can contradict its verdict.
if state ~= 'open' then
  if contradicted and redis.call('HSETNX', trial, 'contradicted', '1') == 1 then
    emit(events, 'trial.contradicted', now, id, review)
  end
  return 'ok'
end
-- What the next draws use: baselines for their bets, and the share. A new share is a new revision of the route.
local written = cjson.decode(baselines)
if #written > 0 then redis.call('HSET', trial, unpack(written)) end
if redis.call('HGET', trial, 'share') ~= share then
  redis.call('HSET', trial, 'share', share)
  touch(template)
  emit(events, 'trial.share_changed', now, id, cjson.encode({share = share}))
end
-- A check of its health that has fired is reported once.
if (redis.call('HGET', trial, 'alarms') or '') ~= alarms then
  redis.call('HSET', trial, 'alarms', alarms)
  if alarms ~= '' then emit(events, 'trial.held', now, id, alarm) end
end
if verdict == 'hold' then return 'ok' end
-- The verdict: the trial ends and the versions change their states, with review and event. A step of a way that is not
-- the last makes nobody champion: its canary waits for the next one.
local canary = redis.call('HGET', trial, 'canary')
local version = name .. '@v' .. canary
local _, total = string.gsub(redis.call('HGET', trial, 'steps') or '', '%S+', '')
local goes_on = verdict == 'graduate' and tonumber(redis.call('HGET', trial, 'step') or '1') < total
local ends = {graduate = 'graduated', roll_back = 'rolled_back', expire = 'expired'}
local kinds = {graduate = 'candidate.auto_promoted', roll_back = 'candidate.rolled_back', expire = 'trial.expired'}
end_trial(trial, template, trials_open, id, ends[verdict], now, reason, review, goes_on)
if goes_on then
  kinds.graduate = 'candidate.step_passed'
  set_state(template, canary, 'pending')
elseif verdict == 'graduate' then crown(template, champions, name, canary) end
if verdict == 'roll_back' then reject(template, rejected, name, canary) end
if verdict == 'expire' then set_state(template, canary, 'pending') end
touch(template)
redis.call('RPUSH', reviews, review)
emit(events, kinds[verdict], now, verdict == 'expire' and id or version, review)
return 'ok'
