-- Write what became of pairs of a backtest, and its end if that follows from it, if nobody else was faster. The end of
-- one that is a step ends its way in the same step, or leaves it to the next one, or makes its version champion.
-- KEYS  backtest: its record  settlements: its list  template, reviews, backtests_open, backtests_refusing,
--       champions, events
-- ARGV  id: of the backtest  revision: of the record as read  lines: JSON list of settlements, each JSON
--       evidence: JSON  state: '' while it goes on  reason  data: of the event of its end, as JSON
--       refuses: '1' when its version is to be rejected with that end, else ''
--       name: of the template  number: of its version  review: of a step's end, as JSON, or ''
--       alarms: names of the checks of its health that have fired, while it goes on  alarm: of their event, as JSON
-- FLAGS passes: the version passes this step
-- Returns 'ok' | 'stale' (somebody else advanced it since it was read) | 'over' (it has ended)
-- @include prelude
-- @include versions
local now = clock(time)
if redis.call('HGET', backtest, 'state') ~= 'running' then return 'over' end
if redis.call('HGET', backtest, 'revision') ~= revision then return 'stale' end
for _, line in ipairs(cjson.decode(lines)) do redis.call('RPUSH', settlements, line) end
redis.call('HINCRBY', backtest, 'revision', 1)
if evidence ~= '' then redis.call('HSET', backtest, 'evidence', evidence) end
if state == '' and (redis.call('HGET', backtest, 'alarms') or '') ~= alarms then -- it is reported once
  redis.call('HSET', backtest, 'alarms', alarms)
  if alarms ~= '' then emit(events, 'backtest.held', now, id, alarm) end
end
if state ~= '' then
  redis.call('HSET', backtest, 'state', state, 'reason', reason, 'closed_at', stamp(now))
  redis.call('SREM', backtests_open, id)
  if refuses == '1' then redis.call('SADD', backtests_refusing, id) end
  emit(events, 'backtest.ended', now, id, data)
  local _, run = on_way(template)
  if run == id then
    local _, total = string.gsub(redis.call('HGET', backtest, 'steps') or '', '%S+', '')
    local goes_on = passes and tonumber(redis.call('HGET', backtest, 'step') or '1') < total
    if refuses ~= '1' then redis.call('RPUSH', reviews, review) end -- a rejection has its own
    if not goes_on then end_way(template) end
    if passes and not goes_on then
      crown(template, champions, name, number)
      touch(template)
    end
    if passes then
      emit(events, goes_on and 'candidate.step_passed' or 'candidate.auto_promoted', now, name .. '@v' .. number, review)
    end
  end
end
return 'ok'
