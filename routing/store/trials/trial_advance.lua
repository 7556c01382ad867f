-- Write the next state of a trial's test and, with it, its verdict: exactly once whoever races, because the
-- revision must be the one that the new state was computed from and the trial must still be open.
-- KEYS  1 trial  2 template  3 trials:open  4 champions  5 rejected  6 events  7 reviews  8 history
-- ARGV  1 now  2 trial id  3 template name  4 revision as read  5 evidence JSON  6 share of the next draw
--       7 JSON list of baseline fields and values  8 verdict ('hold'|'graduate'|'roll_back'|'expire')
--       9 reason  10 review JSON  11 history point JSON, or ''  12 '1' when later signals contradict the verdict
-- Returns 'ok'|'stale'|'closed'|'unknown'
-- @include prelude
-- @include versions
local trial_key, template, open, champions, rejected, events, reviews, history = unpack(KEYS)
local now, trial, name, verdict = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[8]
local state = redis.call('HGET', trial_key, 'state')
if not state then return 'unknown' end
if redis.call('HGET', trial_key, 'revision') ~= ARGV[4] then return 'stale' end
if state ~= 'open' and verdict ~= 'hold' then return 'closed' end
redis.call('HINCRBY', trial_key, 'revision', 1)
redis.call('HSET', trial_key, 'evidence', ARGV[5])
if ARGV[11] ~= '' then redis.call('RPUSH', history, ARGV[11]) end
if state ~= 'open' then
  if ARGV[12] == '1' and redis.call('HSETNX', trial_key, 'contradicted', '1') == 1 then
    emit(events, 'trial.contradicted', now, trial, ARGV[10])
  end
  return 'ok'
end
local baselines = cjson.decode(ARGV[7])
if #baselines > 0 then redis.call('HSET', trial_key, unpack(baselines)) end
if redis.call('HGET', trial_key, 'share') ~= ARGV[6] then
  redis.call('HSET', trial_key, 'share', ARGV[6])
  touch(template)
  emit(events, 'trial.share_changed', now, trial, cjson.encode({share = ARGV[6]}))
end
if verdict == 'hold' then return 'ok' end
local canary = redis.call('HGET', trial_key, 'canary')
local id = name .. '@v' .. canary
local ends = {graduate = 'graduated', roll_back = 'rolled_back', expire = 'expired'}
local kinds = {graduate = 'candidate.auto_promoted', roll_back = 'candidate.rolled_back', expire = 'trial.expired'}
end_trial(trial_key, template, open, trial, ends[verdict], now, ARGV[9], ARGV[10])
if verdict == 'graduate' then crown(template, champions, name, canary) end
if verdict == 'roll_back' then reject(template, rejected, name, canary) end
if verdict == 'expire' then set_state(template, canary, 'pending') end
touch(template)
redis.call('RPUSH', reviews, ARGV[10])
emit(events, kinds[verdict], now, verdict == 'expire' and trial or id, ARGV[10])
return 'ok'
