-- Hand over the work of a job of a pair to its judge: the first time counts, whatever is delivered later.
-- KEYS  job, signals: of the job  pair: its record  trials_open, backtests_open, due
-- ARGV  id: of the job  fence: of its claim  arm: 'champion' or 'canary'  work: JSON of what is to be judged, or ''
--       signal: id of the fact  fact: its JSON without its end, to which is added what the job has spent, and waited, until now,
--       as far as it is known
--       retention_seconds
-- Returns 'ok'|'known' (it was handed over before)|'stale' (the lease)|'cancelled' (people ended it before)|'over' (its trial, or its backtest)
-- @include prelude
local now = clock(time)
local f = redis.call('HMGET', job, 'fence', 'cancel', 'handed_at', 'trial', 'cost:turns', 'cost:unknown', 'spent_usd',
  'spent_tokens', 'spent_seconds', 'fix_forwards', 'held_seconds', 'backtest')
if f[1] ~= fence then return 'stale' end
if f[3] then return 'known' end
if f[2] then return 'cancelled' end
if redis.call('SISMEMBER', f[12] and backtests_open or trials_open, f[12] or f[4] or '') == 0 then return 'over' end
redis.call('HSET', job, 'handed_at', stamp(now))
if work ~= '' then
  redis.call('HSET', pair, 'work:' .. arm, work)
  redis.call('EXPIRE', pair, retention_seconds)
end
-- What is not known is left out: a job of no counted turn, one with a turn of unknown dollars, a program without tokens.
local spent = {'"fix_forwards":' .. (f[10] or '0'), '"waited_seconds":' .. (f[11] or '0')}
if tonumber(f[5] or 0) > 0 then
  if tonumber(f[6] or 0) == 0 then spent[#spent + 1] = '"cost_usd":' .. (f[7] or '0') end
  if tonumber(f[8] or 0) > 0 then spent[#spent + 1] = '"tokens":' .. f[8] end
  spent[#spent + 1] = '"duration_seconds":' .. (f[9] or '0')
end
redis.call('HSETNX', signals, signal, fact .. ',"spent":{' .. table.concat(spent, ',') .. '}}')
redis.call('ZADD', due, 'LT', now, id)
return 'ok'
