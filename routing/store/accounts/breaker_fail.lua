-- A turn of a version ended with an error before its agent did anything. Enough of them in a row, all alike and of
-- several jobs, close the version's breaker: its jobs wait, and one of them tries it again later. In an open trial that is
-- so only when the other arm fails as well: a version that alone does not start is what the trial finds out.
-- KEYS  breakers, events, trials_open
-- ARGV  account: the version's name there  other: that of the other arm of the job's trial, or ''  trial: its id, or ''
--       alike: what makes two failures alike, the exit code  words: of the program  job
--       most: failures that close it  jobs: that they must be of  first_seconds, cap_seconds: of the back-off
-- Returns 1 when jobs of the version wait now, this one too, else 0
-- @include prelude
-- @include breakers
local now, name = clock(time), account .. '/'
local b = breaker_of(breakers, name) or {account = account, model = '', state = 'open', tries = 0}
local was_open = b.state == 'open'
if was_open then
  if b.alike ~= alike then b.alike, b.failed, b.failing = alike, nil, nil end
  b.failed = b.failed or {}
  table.insert(b.failed, job)
  if #b.failed > tonumber(most) then table.remove(b.failed, 1) end
  local seen, distinct = {}, 0
  for _, each in ipairs(b.failed) do
    if not seen[each] then seen[each], distinct = true, distinct + 1 end
  end
  if #b.failed >= tonumber(most) and distinct >= tonumber(jobs) then b.failing = true end
  redis.call('HSET', breakers, name, cjson.encode(b))
  if not b.failing then return 0 end
end
if other ~= '' and redis.call('SISMEMBER', trials_open, trial) == 1 and starts(breaker_of(breakers, other .. '/')) then
  return 0
end
if not was_open and (b.state == 'closed' or b.probe ~= job) then return 1 end -- it began before the others had failed
if was_open then b.since, b.tries, b.failed, b.alike = now, 0, nil, nil else b.tries = b.tries + 1 end
local back_off = math.min(tonumber(cap_seconds), tonumber(first_seconds) * 2 ^ b.tries)
b.state, b.kind, b.words, b.given, b.probe, b['until'] = 'broken', 'start', words, false, nil, now + back_off
redis.call('HSET', breakers, name, cjson.encode(b))
if was_open then
  emit(events, 'account.broken', now, name, cjson.encode({account = account, model = '', kind = 'start', words = words,
    ['until'] = b['until'], by = ''}))
end
return 1
