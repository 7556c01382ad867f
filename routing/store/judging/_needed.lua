-- Why nobody needs a pair to be judged any more, in words: it is settled, or its trial or backtest has ended; else nil.
-- `owner` is the record of the job that the pair is called by.
local function not_needed(owner, trials_open, backtests_open)
  local f = redis.call('HMGET', owner, 'trial', 'pair_settled_at', 'backtest')
  if f[2] then return 'the pair is settled' end
  if f[3] then return redis.call('SISMEMBER', backtests_open, f[3]) == 0 and 'its backtest has ended' or nil end
  return redis.call('SISMEMBER', trials_open, f[1] or '') == 0 and 'its trial has ended' or nil
end
