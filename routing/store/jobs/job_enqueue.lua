-- Accept jobs of one route, in their order: record, order of dispatch and frozen bet, outbox entry, event, and the
-- message itself when the broker is this server: one step.
-- KEYS  1 template  2 trial (a child's: its parent; or template)  3 dispatches (a child's: children; or template)
--       4 outbox, or unclaimed when the messages are pushed here  5 jobs  6 due  7 events
--       then for each job  its record  its idempotency key (or its record)  its issue (or its record)
--       the broker's queue (or its record)
-- ARGV  1 now  2 revision of the route as read  3 trial id or ''  4 share, '' outside trials
--       5 JSON list of what the jobs of one arm have in common: fields (names and values in turn), arm, data, which
--         is the event's JSON without its end, and a child's family: parent, most and deepest
--       6 seconds until the relay looks at the jobs  7 settle deadline, seconds
--       8 seconds for which idempotency keys and issues are kept
--       then for each job  its id  place of its arm in the list, from 1  request, JSON  issue or ''
--       most attempts, '' for the list's  draw or ''  stratum  message to push or ''
-- Returns for each job  'ok', '' | 'same', job id | 'active', job id | 'stale', '' | 'collision', ''
--         for a child also  'no parent'|'parent ended'|'parent cancelled'|'depth'|'children', ''
-- @include prelude
-- @include family
local template, trial_key, dispatches, outbox, jobs, due, events = unpack(KEYS, 1, 7)
local trial, share, sides, keep = ARGV[3], ARGV[4], cjson.decode(ARGV[5]), ARGV[8]
local now = clock(ARGV[1])
local at, look, deadline = stamp(now), now + tonumber(ARGV[6]), now + tonumber(ARGV[7])
local current = redis.call('HGET', template, 'revision') == ARGV[2]
local answers, created, looks, deadlines = {}, {}, {}, {}
local family = sides[1].family

local function append(list, one, other)
  local length = #list
  list[length + 1], list[length + 2] = one, other
end

-- Freeze the bet of a job and put it at the end of the trial's ledger.
local function dispatch(fields, id, arm, draw, stratum)
  local frozen = redis.call('HMGET', trial_key, 'baseline:' .. stratum, 'baseline', 'guardrail_baselines')
  local baseline, guardrails = frozen[1] or frozen[2], frozen[3]
  local sequence = string.format('%d', redis.call('LLEN', dispatches))
  redis.call('RPUSH', dispatches, '{"v":1,"job_id":"' .. id .. '","arm":"' .. arm .. '","share":' .. share
    .. ',"draw":' .. draw .. ',"stratum":' .. cjson.encode(stratum) .. ',"index":' .. sequence
    .. ',"baseline":' .. baseline .. ',"guardrail_baselines":' .. guardrails .. '}')
  redis.call('HINCRBY', trial_key, 'dispatched:' .. arm, 1)
  append(fields, 'sequence', sequence)
  append(fields, 'baseline', baseline)
  append(fields, 'guardrail_baselines', guardrails)
end

-- Why the parent may not have a child, or else the child's generation.
local function descent()
  local p = redis.call('HMGET', trial_key, 'state', 'cancel', 'depth')
  if not p[1] then return 'no parent' end
  if p[1] ~= 'queued' and p[1] ~= 'running' and p[1] ~= 'waiting' then return 'parent ended' end
  if p[2] then return 'parent cancelled' end
  local depth = tonumber(p[3] or 0) + 1
  if depth > family.deepest then return 'depth' end
  if count_children(dispatches, family.parent) >= family.most then return 'children' end
  return nil, string.format('%d', depth)
end

local function accept(job, once, issue, queue, id, side, request, issue_name, attempts, draw, stratum, message)
  local first = once ~= job and redis.call('GET', once)
  if first then return 'same', first end
  local active = issue ~= job and redis.call('HGET', issue, 'active')
  if active then return 'active', active end
  if not current then return 'stale', '' end
  if redis.call('EXISTS', job) == 1 then return 'collision', '' end
  local fields = {'created_at', at, 'request', request, unpack(side.fields)}
  local data = side.data
  if family then
    local why, depth = descent()
    if why then return why, '' end
    append(fields, 'parent', family.parent)
    append(fields, 'depth', depth)
    redis.call('ZADD', dispatches, 0, family.parent .. ':' .. id)
  end
  if issue_name ~= '' then append(fields, 'issue', issue_name) end
  if attempts ~= '' then append(fields, 'max_attempts', attempts) end
  if stratum ~= '' then append(fields, 'stratum', stratum) end
  if draw ~= '' then
    append(fields, 'draw', draw)
    data = data .. ', "draw": ' .. draw
  end
  if trial ~= '' then dispatch(fields, id, side.arm, draw, stratum) end
  redis.call('HSET', job, unpack(fields))
  append(created, at, id)
  append(looks, look, id)
  append(deadlines, deadline, id)
  if once ~= job then redis.call('SET', once, id, 'EX', keep) end
  if issue ~= job then
    redis.call('HSET', issue, 'active', id)
    redis.call('EXPIRE', issue, keep)
  end
  emit(events, 'job.queued', now, id, data .. '}')
  if message ~= '' then redis.call('LPUSH', queue, message) end
  return 'ok', ''
end

local argument = 9
for key = 8, #KEYS, 4 do
  local job, once, issue, queue = unpack(KEYS, key, key + 3)
  local id, place, request, name, attempts, draw, stratum, message = unpack(ARGV, argument, argument + 7)
  append(answers, accept(job, once, issue, queue, id, sides[tonumber(place)], request, name, attempts, draw,
    stratum, message))
  argument = argument + 8
end
if #created > 0 then
  redis.call('ZADD', outbox, unpack(looks))
  redis.call('ZADD', jobs, unpack(created))
  redis.call('ZADD', due, unpack(deadlines))
end
return answers
