-- Move a job to another state, with its event and the facts that come with the move.
-- KEYS  1 job  2 leases  3 waiting  4 outbox  5 dead  6 events  7 signals  8 due  9 effects  10 unclaimed
--       11 landing  12 issue (or job)  13 held  14 at_work  15 spent
--       16 children  17 bereaved
-- ARGV  1 now  2 job id  3 states it may be in, separated by commas  4 new state
--       5 fence that the caller holds, or ''  6 reason  7 seconds until it may be claimed  8 retention, seconds
--       9 event  10 event data  11 JSON list of fields and values  12 JSON list of signal ids and signals
--       13 flags, separated by commas: 'refund' (the attempt does not count), 'dead' (list it as dead letter),
--          'expired' (only when the lease ran out), 'fresh' (attempts begin anew, and so does work on the issue),
--          'mend' (attempts begin anew, for one more corrective turn)
-- Returns 'ok'|'missing'|'stale'|'alive'|'cancelling' (it is to be cancelled, and may only end)
--         |'merging' (too late to cancel)|'active:' with the job that works on its issue|the state that does not allow it
-- @include prelude
-- @include admission
-- @include family
local job, leases, waiting, outbox, dead, events, signals, due, effects = unpack(KEYS)
local now, id, to = clock(ARGV[1]), ARGV[2], ARGV[4]
local f = redis.call('HMGET', job, 'state', 'fence', 'lease_until', 'issue', 'cancel', 'place', 'spent_usd',
  'counted_usd', 'merging')
local flags = ',' .. ARGV[13] .. ','
local function flag(name) return string.find(flags, ',' .. name .. ',', 1, true) end
if not f[1] then
  redis.call('ZREM', leases, id)
  redis.call('ZREM', waiting, id)
  return 'missing'
end
if not string.find(',' .. ARGV[3] .. ',', ',' .. f[1] .. ',', 1, true) then return f[1] end
if ARGV[5] ~= '' and ARGV[5] ~= f[2] then return 'stale' end
if f[9] and to == 'cancelled' then return 'merging' end
if flag('expired') and tonumber(f[3]) > now then return 'alive' end
if ARGV[5] ~= '' and f[5] and (to == 'queued' or to == 'waiting') then return 'cancelling' end
if flag('fresh') and f[4] then
  local active = redis.call('HGET', KEYS[12], 'active')
  if active and active ~= id then return 'active:' .. active end
  redis.call('HSET', KEYS[12], 'active', id)
  redis.call('EXPIRE', KEYS[12], ARGV[8])
end
redis.call('ZREM', leases, id)
redis.call('ZREM', waiting, id)
redis.call('ZREM', outbox, id)
redis.call('ZREM', KEYS[10], id)
redis.call('ZREM', KEYS[13], (f[6] or '') .. id)
if f[6] and f[6] ~= '' then redis.call('ZREM', KEYS[14], f[6] .. id) end
redis.call('HSET', job, 'state', to, 'reason', ARGV[6])
if f[9] then redis.call('HDEL', job, 'merging') end
if f[7] and f[7] ~= (f[8] or '0') then -- what it has cost since its last move
  count_cost(KEYS[15], now, tonumber(f[7]) - tonumber(f[8] or 0))
  redis.call('HSET', job, 'counted_usd', f[7])
end
local fields = cjson.decode(ARGV[11])
if #fields > 0 then redis.call('HSET', job, unpack(fields)) end
if flag('refund') then redis.call('HINCRBY', job, 'attempts', -1) end
if flag('mend') then
  redis.call('HSET', job, 'attempts', '0')
  redis.call('HINCRBY', job, 'fix_forwards', 1)
end
if to ~= 'queued' then redis.call('HDEL', job, 'repair') end -- what a corrective turn was about
if flag('fresh') then
  redis.call('HSET', job, 'attempts', '0')
  redis.call('HDEL', job, 'finished_at', 'cancel', 'turns', 'spent_usd', 'spent_seconds', 'fix_forwards',
    'judged', 'counted_usd')
  redis.call('ZREM', dead, id)
  redis.call('SREM', effects, id)
  redis.call('PERSIST', job)
  local parent = redis.call('HGET', job, 'parent')
  if parent then redis.call('ZADD', KEYS[16], 0, parent .. ':' .. id) end
  redis.call('PERSIST', signals)
end
local facts = cjson.decode(ARGV[12])
for i = 1, #facts, 2 do redis.call('HSETNX', signals, facts[i], facts[i + 1]) end
if #facts > 0 then redis.call('ZADD', due, 'LT', now, id) end
if to == 'queued' then
  local ready = now + tonumber(ARGV[7])
  redis.call('HSET', job, 'not_before', stamp(ready))
  redis.call('ZADD', outbox, ready, id)
elseif to == 'waiting' then
  redis.call('ZADD', waiting, now, id)
  redis.call('ZADD', KEYS[11], now, id)
  redis.call('HSET', job, 'pushed_at', stamp(now))
else
  redis.call('HSET', job, 'finished_at', stamp(now))
  redis.call('HDEL', job, 'lease_until', 'not_before', 'place')
  redis.call('EXPIRE', job, ARGV[8])
  redis.call('EXPIRE', signals, ARGV[8])
  if flag('dead') then redis.call('ZADD', dead, now, id) end
  if f[4] then redis.call('SADD', effects, id) end
  local parent = redis.call('HGET', job, 'parent')
  if parent then redis.call('ZREM', KEYS[16], parent .. ':' .. id) end
  if to == 'cancelled' or to == 'failed' then bereave(KEYS[17], KEYS[16], id) end
end
emit(events, ARGV[9], now, id, ARGV[10])
return 'ok'
