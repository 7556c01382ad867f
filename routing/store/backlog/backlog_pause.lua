-- A person takes an item out of the queue, or lets it back in. What is worked on leaves when its job ends.
-- KEYS  1 items  2 edges  3 outside  4 asks  5 ready  6 open  7 working  8 finished  9 events  10 states
-- ARGV  1 now  2 what an unknown blocker is  3 ref  4 'pause'|'resume'  5 who did that, in words
-- Returns 'ok'|'same'|'missing'|'completed', or 'away' for an item that can only come back by its forge
-- @include prelude
-- @include backlog
local now, ref, step, reason = clock(ARGV[1]), ARGV[3], ARGV[4], ARGV[5]
local item = load(ref)
if not item then return 'missing' end
if item.state == 'completed' then return 'completed' end

local function go(to, why)
  item.away, item.flagged = '', ''
  enter(ref, to, why, now)
  save(ref)
  age(ref, now)
  watch(ref, now)
  refresh({ref}, now)
  return 'ok'
end

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
