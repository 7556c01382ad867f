-- Shared by the scripts of sessions: what a turn leaves behind, who holds it, and the entry of a state.

-- The event of a change of state.
local function tell(events, now, name, session, from, to, reason)
  local fields = redis.call('HMGET', session, 'job', 'fence')
  emit(events, 'session.state', now, name, cjson.encode({
    from = from or '', to = to, reason = reason, job = fields[1] or '', fence = tonumber(fields[2] or 0)}))
end

-- Whether the caller holds the turn: its fence is the newest, and the lease was neither given back nor taken away.
local function holds(session, fence)
  local f = redis.call('HMGET', session, 'fence', 'lease_until')
  return f[1] == fence and f[2]
end

-- Whether a state is one of those that a step may start from; they are separated by commas.
local function may_come(from, allowed) return string.find(',' .. allowed .. ',', ',' .. from .. ',', 1, true) end

-- The turn is over: its lease and the registration of its process go together.
local function leave_turn(session, turns, name)
  redis.call('HDEL', session, 'lease_until', 'holder', 'turn', 'host', 'boot_id', 'pid', 'start_ticks', 'marker',
    'spawned_at', 'stop', 'stage')
  redis.call('ZREM', turns, name)
end

-- The turn ended without its holder: the process that it started may live on, and the next holder ends that first.
local function lose_turn(session, turns, name)
  local marker = redis.call('HGET', session, 'marker')
  if marker then redis.call('HSET', session, 'left', marker) end
  leave_turn(session, turns, name)
end

-- Live sessions are listed by the time of their last step; a final one is kept for its retention, unlisted.
local function enter(session, sessions, name, to, now, retention)
  redis.call('HSET', session, 'state', to)
  redis.call('EXPIRE', session, retention)
  if to == 'completed' or to == 'zombie' then
    redis.call('HSET', session, 'finished_at', stamp(now))
    redis.call('ZREM', sessions, name)
  else
    redis.call('ZADD', sessions, now, name)
  end
end
