-- A person takes an item out of the queue, or lets it back in. What is worked on leaves when its job ends.
-- KEYS  backlog, backlog_edges, backlog_outside, backlog_asks, backlog_ready, backlog_open, backlog_working,
--       backlog_finished, backlog_states, events: see _backlog.lua
-- ARGV  unknown_blocker  ref: the issue  step: 'pause' or 'resume'  reason: who did that, in words
-- Returns 'ok', 'same' (it was so before), 'missing', 'completed', or 'away': only its forge can bring it back
-- @include prelude
-- @include backlog
local now = clock(time)
local item = load(ref)
if not item then return 'missing' end
if item.state == 'completed' then return 'completed' end

-- Move the item, and evaluate it and those that wait for it.
local function go(to, why)
  item.away, item.flagged = '', ''
  enter(ref, to, why, now)
  save(ref)
  age(ref, now)
  watch(ref, now)
  refresh({ref}, now)
  return 'ok'
end

-- While a job works on it, the wish is only noted: `backlog_move` follows it when the job has ended.
if item.state == 'in_progress' then
  local mark = step == 'pause' and reason or ''
  if ((item.pause or '') ~= '') == (mark ~= '') then return 'same' end
  item.pause = mark
  save(ref)
  emit(events, 'backlog.pausing', now, ref, cjson.encode({pausing = mark ~= '', reason = reason, job = item.job}))
  return 'ok'
end
if step == 'pause' then
  if is_paused(item) then return 'same' end
  return go('cancelled', reason)
end
if item.state == 'cancelled' and item.away == '1' then return 'away' end
if item.state == 'pending' or item.state == 'blocked' or item.state == 'ready' then return 'same' end
if item.closed == '1' then return go('completed', 'closed on the forge') end
return go('pending', reason)
