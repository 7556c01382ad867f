-- Accept jobs of one route, in their order: record, order of dispatch and frozen bet, outbox entry, event, and the
-- message itself when the broker is this server: one step.
-- KEYS  template, trial_record, dispatches: of the trial  parent: of a child; each the template again if there is none
--       outbox, unclaimed, jobs, due, events, children
--       and for each job  job: its record  once: its idempotency key  issue  queue: the broker's list
--       (the last three the record again if there is none)
-- ARGV  revision: of the route as read  trial: its id, or ''  share: '' outside trials
--       sides: JSON list of what the jobs of one arm have in common: fields (names and values in turn), arm, data,
--         which is the event's JSON without its end, and a child's family: parent, most and deepest
--       look_seconds: until the relay looks at the jobs  settle_seconds: until the first look at its score
--       retention_seconds: for which idempotency keys and issues are kept
--       and for each job  id  side: place of its arm in the list, from 1  request: JSON  issue_name: or ''
--       max_attempts: '' for the side's  draw: or ''  stratum  message: to push, or ''
-- FLAGS pushed: the messages are pushed here, so the jobs wait to be claimed, not to be published
--       unpaired: jobs with a draw are those that a trial of pairs, whose record is given, has left to the champion
-- Returns a line for each job  'ok' | 'same:' and a job's id | 'active:' and a job's id | 'stale' | 'collision'
--         for a child also  'no parent' | 'parent ended' | 'parent cancelled' | 'depth' | 'children'
--         in one text, as the server looks at a table seven times before it answers with it
-- @include prelude
-- @include family
local now, arms = clock(time), cjson.decode(sides)
local at, look, deadline = stamp(now), now + tonumber(look_seconds), now + tonumber(settle_seconds)
local current = redis.call('HGET', template, 'revision') == revision
local answers, created, looks, deadlines -- a list that begins empty would be made larger twice
local family = arms[1].family

local function append(list, one, other)
  if not list then return {one, other} end
  local length = #list
  list[length + 1], list[length + 2] = one, other
  return list
end

-- Freeze the bet of a job and put it at the end of the trial's ledger.
local function dispatch(fields, id, arm, draw, stratum)
  local frozen = redis.call('HMGET', trial_record, 'baseline:' .. stratum, 'baseline', 'guardrail_baselines')
  local baseline, guardrails = frozen[1] or frozen[2], frozen[3]
  local sequence = string.format('%d', redis.call('LLEN', dispatches))
  redis.call('RPUSH', dispatches, '{"v":1,"job_id":"' .. id .. '","arm":"' .. arm .. '","share":' .. share
    .. ',"draw":' .. draw .. ',"stratum":' .. cjson.encode(stratum) .. ',"index":' .. sequence
    .. ',"baseline":' .. baseline .. ',"guardrail_baselines":' .. guardrails .. '}')
  redis.call('HINCRBY', trial_record, 'dispatched:' .. arm, 1)
  append(fields, 'sequence', sequence)
  append(fields, 'baseline', baseline)
  append(fields, 'guardrail_baselines', guardrails)
end

-- Why the parent may not have a child, or else the child's generation.
local function descent()
  local p = redis.call('HMGET', parent, 'state', 'cancel', 'depth')
  if not p[1] then return 'no parent' end
  if p[1] ~= 'queued' and p[1] ~= 'running' and p[1] ~= 'waiting' then return 'parent ended' end
  if p[2] then return 'parent cancelled' end
  local depth = tonumber(p[3] or 0) + 1
  if depth > family.deepest then return 'depth' end
  if count_children(children, family.parent) >= family.most then return 'children' end
  return nil, string.format('%d', depth)
end

local function accept(job, once, issue, queue, id, side, request, issue_name, max_attempts, draw, stratum, message)
  local first = once ~= job and redis.call('GET', once)
  if first then return 'same:' .. first end
  local active = issue ~= job and redis.call('HGET', issue, 'active')
  if active then return 'active:' .. active end
  if not current then return 'stale' end
  if redis.call('EXISTS', job) == 1 then return 'collision' end
  local fields = {'created_at', at, 'request', request, unpack(side.fields)}
  local data = side.data
  if family then
    local why, depth = descent()
    if why then return why end
    append(fields, 'parent', family.parent)
    append(fields, 'depth', depth)
    redis.call('ZADD', children, 0, family.parent .. ':' .. id)
  end
  if issue_name ~= '' then append(fields, 'issue', issue_name) end
  if max_attempts ~= '' then append(fields, 'max_attempts', max_attempts) end
  if stratum ~= '' then append(fields, 'stratum', stratum) end
  if draw ~= '' then
    append(fields, 'draw', draw)
    data = data .. ', "draw": ' .. draw
  end
  if unpaired and draw ~= '' then redis.call('HINCRBY', trial_record, 'unpaired', 1) end
  if trial ~= '' then dispatch(fields, id, side.arm, draw, stratum) end
  redis.call('HSET', job, unpack(fields))
  created = append(created, at, id)
  looks = append(looks, look, id)
  deadlines = append(deadlines, deadline, id)
  if once ~= job then redis.call('SET', once, id, 'EX', retention_seconds) end
  if issue ~= job then
    redis.call('HSET', issue, 'active', id)
    redis.call('EXPIRE', issue, retention_seconds)
  end
  emit(events, 'job.queued', now, id, data .. '}')
  if message ~= '' then redis.call('LPUSH', queue, message) end
  return 'ok'
end

for job, once, issue, queue, id, side, request, issue_name, max_attempts, draw, stratum, message in each() do
  local answer = accept(job, once, issue, queue, id, arms[tonumber(side)], request, issue_name, max_attempts, draw,
    stratum, message)
  answers = answers and answers .. '\n' .. answer or answer
end
if created then
  redis.call('ZADD', pushed and unclaimed or outbox, unpack(looks))
  redis.call('ZADD', jobs, unpack(created))
  redis.call('ZADD', due, unpack(deadlines))
end
return answers
