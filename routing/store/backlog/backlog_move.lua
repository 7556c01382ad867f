-- Move an item to another state, and those that wait for it in the same step.
-- KEYS  1 items  2 edges  3 outside  4 asks  5 ready  6 open  7 working  8 finished  9 events  10 states
-- ARGV  1 now  2 what an unknown blocker is  3 ref  4 states it may come from, by commas
--       5 new state; 'pending' is judged by its blockers at once  6 reason
--       7 fence of the start that the caller made, or ''  8 job that the caller speaks for, or ''
--       9 most items of its repository in progress, or ''  10 '1': it left the queue and may come back, or ''
-- An item in progress that was paused meanwhile leaves the queue with the end of its job, unless that is done.
-- Returns {'ok', fence} | {'missing'|'stale'|'busy', ''} | {the state that does not allow it, ''}
-- @include prelude
-- @include backlog
local now, ref, to, reason = clock(ARGV[1]), ARGV[3], ARGV[5], ARGV[6]
local item = load(ref)
if not item then return {'missing', ''} end
if ARGV[7] ~= '' and ARGV[7] ~= item.fence then return {'stale', ''} end
if ARGV[8] ~= '' and item.job ~= '' and ARGV[8] ~= item.job then return {'stale', ''} end
if not string.find(',' .. ARGV[4] .. ',', ',' .. item.state .. ',', 1, true) then return {item.state, ''} end
if to == 'in_progress' then
  local repository, busy = string.match(ref, '^(.*)#'), 0
  for _, other in ipairs(redis.call('SMEMBERS', working)) do
    if string.match(other, '^(.*)#') == repository then busy = busy + 1 end
  end
  if ARGV[9] ~= '' and busy >= tonumber(ARGV[9]) then return {'busy', ''} end
  item.fence, item.job, item.started_at = string.format('%d', tonumber(item.fence) + 1), '', stamp(now)
  item.refusal = ''
elseif item.closed == '1' and to ~= 'cancelled' then
  to, reason = 'completed', 'closed on the forge'
elseif item.state == 'in_progress' and (item.pause or '') ~= '' and to ~= 'completed' then
  to, reason = 'cancelled', item.pause .. '; its job ended: ' .. reason
end
item.away, item.flagged, item.pause = ARGV[10], '', ''
if item.away == '1' then item.seen, item.requested_by = '', '' end -- it may come back as it was, asked for by another
enter(ref, to, reason, now)
save(ref)
if to ~= 'in_progress' then
  watch(ref, now)
  refresh({ref}, now)
end
return {'ok', item.fence}
