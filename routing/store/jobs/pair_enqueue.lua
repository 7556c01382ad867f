-- Accept a pair: one issue for both versions of a trial, in one step. The champion's job is like any other; the
-- canary's is its shadow, which holds neither the issue nor the idempotency key.
-- KEYS  template, trial_record, dispatches: of the trial
--       champion, canary: records of the two jobs  once: idempotency key  issue  (both the champion's record if none)
--       champion_queue, canary_queue: the broker's lists (the champion's record if none)
--       outbox, unclaimed, jobs, due, events
-- ARGV  revision: of the route as read
--       sides: JSON list of what the jobs of champion and canary have in common, see job_enqueue
--       look_seconds: until the relay looks at the jobs  settle_seconds: until the first look at their scores
--       retention_seconds: for which idempotency keys and issues are kept
--       champion_id, canary_id  request: JSON  issue_name: or ''  max_attempts: '' for the sides'
--       draw: that chose the issue for a pair  first: 'champion' or 'canary', whose message is pushed first
--       champion_message, canary_message: to push, or ''
-- FLAGS pushed: the messages are pushed here, so the jobs wait to be claimed, not to be published
-- Returns {'ok', ''} | {'same', job id} | {'active', job id} | {'stale', ''} | {'collision', ''}
-- @include prelude
local now, arms = clock(time), cjson.decode(sides)
local at, look, deadline = stamp(now), now + tonumber(look_seconds), now + tonumber(settle_seconds)
local known = once ~= champion and redis.call('GET', once)
if known then return {'same', known} end
local active = issue ~= champion and redis.call('HGET', issue, 'active')
if active then return {'active', active} end
if redis.call('HGET', template, 'revision') ~= revision then return {'stale', ''} end
if redis.call('EXISTS', champion, canary) > 0 then return {'collision', ''} end

local frozen = redis.call('HMGET', trial_record, 'discordance', 'guardrail_discordances', 'unpaired')
local index = string.format('%d', redis.call('LLEN', dispatches))
redis.call('RPUSH', dispatches, '{"v":1,"index":' .. index .. ',"champion_job":"' .. champion_id
  .. '","canary_job":"' .. canary_id .. '","first":"' .. first .. '","discordance":' .. frozen[1]
  .. ',"guardrail_discordances":' .. frozen[2] .. ',"unpaired":' .. (frozen[3] or '0') .. '}')

local function accept(job, id, partner, side, shadow)
  local fields = {'created_at', at, 'request', request, 'pair', index, 'partner', partner, 'draw', draw,
    unpack(side.fields)}
  local function append(name, value)
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  if max_attempts ~= '' then append('max_attempts', max_attempts) end
  if shadow then append('shadow', '1') elseif issue_name ~= '' then append('issue', issue_name) end
  redis.call('HSET', job, unpack(fields))
  redis.call('ZADD', pushed and unclaimed or outbox, look, id)
  redis.call('ZADD', jobs, at, id)
  redis.call('ZADD', due, deadline, id)
  redis.call('HINCRBY', trial_record, 'dispatched:' .. side.arm, 1)
  emit(events, 'job.queued', now, id, side.data .. ', "pair": ' .. index .. ', "draw": ' .. draw
    .. (shadow and ', "shadow": true}' or '}'))
end

accept(champion, champion_id, canary_id, arms[1], false)
accept(canary, canary_id, champion_id, arms[2], true)
if once ~= champion then redis.call('SET', once, champion_id, 'EX', retention_seconds) end
if issue ~= champion then
  redis.call('HSET', issue, 'active', champion_id)
  redis.call('EXPIRE', issue, retention_seconds)
end
local function push(arm)
  if arm == 'champion' and champion_message ~= '' then redis.call('LPUSH', champion_queue, champion_message) end
  if arm == 'canary' and canary_message ~= '' then redis.call('LPUSH', canary_queue, canary_message) end
end
push(first)
push(first == 'champion' and 'canary' or 'champion')
return {'ok', ''}
