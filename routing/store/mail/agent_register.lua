-- Register an agent under a name. The same agent of the same job may be registered any number of times.
-- KEYS  agent, parent_agent: the parent's record (or the agent's again), agents, events
-- ARGV  name: of the agent  role  job: its id, or ''  task: its id, or ''  parent: its name, or ''
--       data: of the event, as JSON
-- Returns 'ok', 'same' (it lives already), 'taken' (another agent has the name), 'no parent', or 'parent finished'
-- @include prelude
local now = clock(time)
local f = redis.call('HMGET', agent, 'state', 'role', 'job', 'parent', 'depth')
-- An agent that has finished may live again, if it is the same one: its job was tried again.
if f[1] then
  if f[2] ~= role or f[3] ~= job or f[4] ~= parent then return 'taken' end
  if f[1] == 'live' then return 'same' end
end
local depth = 0 -- of agents above it
if parent ~= '' then
  local p = redis.call('HMGET', parent_agent, 'state', 'depth')
  if not p[1] then return 'no parent' end
  if p[1] ~= 'live' then return 'parent finished' end
  depth = tonumber(p[2]) + 1
end
depth = string.format('%d', depth)
redis.call('HDEL', agent, 'finished_at', 'reason', 'gate', 'gate_until', 'gate_closed_at')
redis.call('HSET', agent, 'v', '1', 'name', name, 'role', role, 'job', job, 'task', task,
  'parent', parent, 'depth', depth, 'state', 'live', 'registered_at', stamp(now))
redis.call('HINCRBY', agent, 'life', 1)
redis.call('PERSIST', agent)
redis.call('SADD', agents, name)
emit(events, 'agent.registered', now, name, data)
return 'ok'
