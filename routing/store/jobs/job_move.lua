-- Move a job to another state, with its event and the facts that come with the move.
-- KEYS  job, signals, issue: of the job (or the job again)
--       leases, waiting, outbox, unclaimed, held, limited, at_work, landing, due, dead, effects: lists
--       spent, outcomes, children, bereaved, events, pulse
-- ARGV  id: of the job  allowed: states it may be in, separated by commas  to: the new state
--       fence: that the caller holds, which may make its move again; or ''  reason  delay_seconds: until it may be claimed  retention_seconds
--       event, data: its kind and its JSON  fields: JSON list of fields and values to write
--       facts: JSON list of signal ids and signals; "at":0.0 in one is replaced by the time
-- FLAGS refund: the attempt does not count  list_dead: list it as a dead letter, unless it is a shadow
--       expired: only when the lease ran out  fresh: attempts begin anew, and so does work on the issue
--       keeps_turn: a finished turn stays to be delivered  limit: it waits for an account from now on
--       unless_merging: not while its branch is being merged
-- Returns {word}: 'ok'|'missing'|'stale' (another fence)|'alive' (the lease did not run out)
--         |'cancelling' (it is to be cancelled, and may only end)|'merging' (too late for that),
--         {'active', job id}: another job works on its issue, or {'state', its state}: that does not allow it
-- @include prelude
-- @include admission
-- @include family
-- @include lease
-- @include wait
local now = clock(time)
local f = redis.call('HMGET', job, 'state', 'fence', 'lease_until', 'issue', 'cancel', 'place', 'spent_usd',
  'counted_usd', 'merging', 'moved', 'limited', 'held_at', 'claimed_at', 'shadow')
if not f[1] then
  redis.call('ZREM', leases, id)
  redis.call('ZREM', waiting, id)
  return {'missing'}
end

-- Count the end of a job in its hour. Hours go round in a ring of HOURS, so that the hash never grows.
local HOURS = 48
local function count_outcome()
  local hour = math.floor(now / 3600)
  local place = string.format('%d', hour % HOURS)
  local mark = string.format('%d', hour)
  if redis.call('HGET', outcomes, place) ~= mark then
    for _, state in ipairs({'succeeded', 'escalated', 'failed', 'blocked', 'cancelled'}) do
      redis.call('HDEL', outcomes, place .. ':' .. state)
    end
    redis.call('HSET', outcomes, place, mark)
  end
  redis.call('HINCRBY', outcomes, place .. ':' .. to, 1)
  redis.call('EXPIRE', outcomes, HOURS * 3600)
end

local mark = fence .. ' ' .. to
if not string.find(',' .. allowed .. ',', ',' .. f[1] .. ',', 1, true) then
  -- The answer to the first call was lost, and nobody has claimed the job since. A move that the state allows is a
  -- new one: work that waits, and is brought up to date, waits again under the same fence.
  if fence ~= '' and f[2] == fence and f[10] == mark then return {'ok'} end
  return {'state', f[1]}
end
if fence ~= '' and fence ~= f[2] then return {'stale'} end
if f[9] and (unless_merging or to == 'cancelled' and fence == '') then return {'merging'} end -- the watcher, which merges, has it
if expired and not is_lost(pulse, tonumber(f[3]), now) then return {'alive'} end
if fence ~= '' and f[5] and (to == 'queued' or to == 'waiting') then return {'cancelling'} end
if fresh and f[14] then return {'state', 'a shadow'} end
if fresh and f[4] then
  local active = redis.call('HGET', issue, 'active')
  if active and active ~= id then return {'active', active} end
  redis.call('HSET', issue, 'active', id)
  redis.call('EXPIRE', issue, retention_seconds)
end
redis.call('ZREM', leases, id)
redis.call('ZREM', waiting, id)
redis.call('ZREM', outbox, id)
redis.call('ZREM', unclaimed, id)
redis.call('ZREM', held, (f[6] or '') .. id)
if f[11] then
  redis.call('ZREM', limited, f[11])
  redis.call('HDEL', job, 'limited', 'held_until')
end
if limit then begin_wait(job, f[12], f[13], now) else end_wait(job, f[12], f[13], now) end
if f[6] and f[6] ~= '' then redis.call('ZREM', at_work, f[6] .. id) end
redis.call('HSET', job, 'state', to, 'reason', reason, 'moved',
  fence ~= '' and f[1] == 'running' and not expired and mark or '') -- watchers, who share a fence, repeat nothing
if f[9] then redis.call('HDEL', job, 'merging') end
if f[7] and f[7] ~= (f[8] or '0') then -- what it has cost since its last move
  count_cost(spent, now, tonumber(f[7]) - tonumber(f[8] or 0))
  redis.call('HSET', job, 'counted_usd', f[7])
end
redis.call('HDEL', job, 'hindrance') -- unless this step writes one
if not keeps_turn then redis.call('HDEL', job, 'finished') end
local written = cjson.decode(fields)
if #written > 0 then redis.call('HSET', job, unpack(written)) end
if refund then redis.call('HINCRBY', job, 'attempts', -1) end
if to ~= 'queued' then redis.call('HDEL', job, 'repair') end -- what a corrective turn was about
if fresh then
  redis.call('HSET', job, 'attempts', '0')
  redis.call('HDEL', job, 'finished_at', 'cancel', 'cancel_to', 'turns', 'spent_usd', 'spent_tokens', 'spent_seconds',
    'fix_forwards', 'judged', 'counted_usd', 'refusals', 'review_rounds', 'merge_rounds', 'reviews', 'reviewed_commit',
    'review_end', 'review_said', 'in_review')
  redis.call('ZREM', dead, id)
  redis.call('SREM', effects, id)
  redis.call('PERSIST', job)
  local parent = redis.call('HGET', job, 'parent')
  if parent then redis.call('ZADD', children, 0, parent .. ':' .. id) end
  redis.call('PERSIST', signals)
end
local new = cjson.decode(facts)
for i = 1, #new, 2 do
  local fact = string.gsub(new[i + 1], '"at":0%.0,', '"at":' .. stamp(now) .. ',', 1)
  redis.call('HSETNX', signals, new[i], fact)
end
if #new > 0 then redis.call('ZADD', due, 'LT', now, id) end
if to == 'queued' then
  local ready = now + tonumber(delay_seconds)
  redis.call('HSET', job, 'not_before', stamp(ready))
  redis.call('ZADD', outbox, ready, id)
elseif to == 'waiting' then
  redis.call('ZADD', waiting, now, id)
  redis.call('ZADD', landing, now, id)
  redis.call('HSET', job, 'pushed_at', stamp(now))
else
  redis.call('HSET', job, 'finished_at', stamp(now))
  redis.call('HDEL', job, 'lease_until', 'not_before', 'place')
  redis.call('EXPIRE', job, retention_seconds)
  redis.call('EXPIRE', signals, retention_seconds)
  if not f[14] then count_outcome() end
  if list_dead and not f[14] then redis.call('ZADD', dead, now, id) end
  if f[4] then redis.call('SADD', effects, id) end
  local parent = redis.call('HGET', job, 'parent')
  if parent then redis.call('ZREM', children, parent .. ':' .. id) end
  if to == 'cancelled' or to == 'failed' then bereave(bereaved, children, id) end
end
if f[14] then data = string.sub(data, 1, -2) .. ', "shadow": true}' end -- nobody outside hears of it
emit(events, event, now, id, data)
return {'ok'}
