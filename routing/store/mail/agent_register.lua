-- Register an agent under a name, or again: the same agent of the same job may be registered any number of times.
-- KEYS  1 agent  2 agents  3 events  4 the parent's record, or the agent's again
-- ARGV  1 now  2 name  3 role  4 job id, or ''  5 task id, or ''  6 parent's name, or ''  7 event data
-- Returns {'ok'|'same'|'taken'|'no parent'|'parent finished', depth}
-- @include prelude
local agent, agents, events, parent = unpack(KEYS)
local now, name = clock(ARGV[1]), ARGV[2]
local f = redis.call('HMGET', agent, 'state', 'role', 'job', 'parent', 'depth')
if f[1] then
  if f[2] ~= ARGV[3] or f[3] ~= ARGV[4] or f[4] ~= ARGV[6] then return {'taken', f[5]} end
  if f[1] == 'live' then return {'same', f[5]} end
end
local depth = 0
if ARGV[6] ~= '' then
  local p = redis.call('HMGET', parent, 'state', 'depth')
  if not p[1] then return {'no parent', '0'} end
  if p[1] ~= 'live' then return {'parent finished', '0'} end
  depth = tonumber(p[2]) + 1
end
depth = string.format('%d', depth)
redis.call('HDEL', agent, 'finished_at', 'reason', 'gate', 'gate_until', 'gate_closed_at')
redis.call('HSET', agent, 'v', '1', 'name', name, 'role', ARGV[3], 'job', ARGV[4], 'task', ARGV[5],
  'parent', ARGV[6], 'depth', depth, 'state', 'live', 'registered_at', stamp(now))
redis.call('HINCRBY', agent, 'life', 1)
redis.call('PERSIST', agent)
redis.call('SADD', agents, name)
emit(events, 'agent.registered', now, name, ARGV[7])
return {'ok', depth}
