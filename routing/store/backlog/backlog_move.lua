-- Move an item to another state and, in the same step, those that wait for it.
-- KEYS  main_look: at the main branch of its repository
--       backlog, backlog_edges, backlog_outside, backlog_asks, backlog_ready, backlog_open, backlog_working,
--       backlog_finished, backlog_states, events: see _backlog.lua
-- ARGV  unknown_blocker  ref: the issue  allowed: states that it may come from, separated by commas
--       to: the new state; 'pending' is evaluated by its blockers at once  reason
--       fence: of the start that the caller made, or ''  job: that the caller speaks for, or ''
--       per_repo: the most items of its repository that may hold a place, or ''; those that stand aside hold none
-- FLAGS away: it left the queue by itself and may come back
-- An item in progress that was paused meanwhile leaves the queue when its job ends, unless its work is done. So does
-- one that people no longer want; if they wanted it again since, it is back in the queue.
-- Returns {'ok', fence}, {'missing'}, {'stale'} (another start or job has it), {'busy'} (its repository has no
--         room), or {'state', its state}: that does not allow it
-- @include prelude
-- @include backlog
-- @include redmain
local now = clock(time)
local item = load(ref)
if not item then return {'missing'} end
if fence ~= '' and fence ~= item.fence then return {'stale'} end
if job ~= '' and item.job ~= '' and job ~= item.job then return {'stale'} end
if not string.find(',' .. allowed .. ',', ',' .. item.state .. ',', 1, true) then return {'state', item.state} end
-- A start takes a slot of its repository, with a fence of its own; an end is what the forge or a person said meanwhile.
if to == 'in_progress' then
  local repository, busy = place_of(ref, item), 0
  for _, other in ipairs(redis.call('SMEMBERS', working)) do
    local read, known = pcall(cjson.decode, redis.call('HGET', items, other) or '')
    known = read and type(known) == 'table' and known or {}
    if place_of(other, known) == repository and (known.aside or '') == '' then busy = busy + 1 end
  end
  if per_repo ~= '' and busy >= tonumber(per_repo) then return {'busy'} end
  if item.job ~= '' then item.before = item.job end
  item.fence, item.job, item.started_at = string.format('%d', tonumber(item.fence) + 1), '', stamp(now)
  item.assigned = item.assignees
  item.refusal = ''
elseif item.closed == '1' and to ~= 'cancelled' then
  to, reason = 'completed', 'closed on the forge'
elseif item.state == 'in_progress' and (item.pause or '') ~= '' and to ~= 'completed' then
  to, reason = 'cancelled', item.pause .. '; its job ended: ' .. reason
elseif item.state == 'in_progress' and (item.unwanted or '') ~= '' and to ~= 'completed' then
  if item.again == '1' then
    to, reason = 'pending', 'back in the queue; before: ' .. item.unwanted
  else
    to, reason, away = 'cancelled', item.unwanted, true
  end
end
item.away, item.flagged, item.pause, item.unwanted, item.again, item.aside = away and '1' or '', '', '', '', '', ''
local was_red = item.state == 'in_progress' and item.main_red == '1'
item.in_review, item.main_red = '', nil
if away then item.seen, item.requested_by = '', '' end -- it may come back unchanged, asked for by somebody else
enter(ref, to, reason, now)
save(ref)
if was_red then tell_of_main(ref, item, true, false, beside(ref, item), now, '') end
if to ~= 'in_progress' then
  watch(ref, now)
  refresh({ref}, now)
end
return {'ok', item.fence}
