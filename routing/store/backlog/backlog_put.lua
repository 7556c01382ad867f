-- Take in an issue as the forge shows it now: new, edited, closed, reopened, or unchanged.
-- KEYS  backlog, backlog_edges, backlog_outside, backlog_asks, backlog_ready, backlog_open, backlog_working,
--       backlog_finished, backlog_states, events: see _backlog.lua
-- ARGV  unknown_blocker  ref: the issue  live: 'open' or 'closed'
--       escalation_label: the label on it that leaves it to a person, or ''
--       fields: JSON object of the fields that an edit may change, all text
--       declared: the edges that it declares, 'blocked blocker' pairs separated by commas
--       notes: JSON object of notes about this look at it, all text; a new note is not an edit
-- Returns {how, state}: how is 'added', 'edited' or 'same'; or {'closed'} for a closed issue that was not an item
-- @include prelude
-- @include backlog
-- @include wish
local now = clock(time)
local item, edited, how = load(ref), cjson.decode(fields), 'same'

-- A closed issue is not taken in, but items may wait for it: then it is the answer about a blocker.
if not item and live == 'closed' then
  if redis.call('ZSCORE', asks, ref) or redis.call('HEXISTS', outside, ref) == 1 then
    redis.call('HSET', outside, ref, 'closed')
    redis.call('ZREM', asks, ref)
    refresh({ref}, now)
  end
  return {'closed'}
end
if not item then
  how = 'added'
  item = {v = '1', state = 'new', reason = '', ring = '', edges = '', job = '', fence = '0', closed = '', away = '',
    flagged = '', pause = '', requested_by = '', place = edited.place, added_at = stamp(now), changed_at = stamp(now)}
  book[ref] = item
end
for name, value in pairs(cjson.decode(notes)) do item[name] = value end
-- Write what changed. A ready item with another priority has another place in its list.
local before = item.edges
edited.place = ready_place(edited.place, {wished = item.wished, priority = edited.priority})
for name, value in pairs(edited) do
  -- who asked for the work stays known when a later look cannot tell, and a place that is taken stays where it is
  local stays = name == 'requested_by' and value == '' or name == 'works_in' and item.state == 'in_progress'
  if item[name] ~= value and not stays then
    if name == 'place' and item.state == 'ready' then
      redis.call('ZREM', ready, item.place)
      redis.call('ZADD', ready, 0, value)
    end
    if name == 'held' and value ~= '' then
      emit(events, 'backlog.held', now, ref, cjson.encode({reason = value}))
    end
    item[name] = value
    if how == 'same' then how = 'edited' end
  end
end
if before ~= declared then
  item.edges = declared
  if how == 'same' then how = 'edited' end
end
save(ref)

-- Whether an item that had left the queue is in it again: reopened, labelled again, or no longer left to a person.
local function is_back()
  if item.state == 'completed' then return item.closed == '1' end
  if item.state == 'cancelled' then return item.closed == '1' or item.away == '1' end
  return (item.state == 'escalated' or item.state == 'frozen') and item.flagged == '1' and escalation_label == ''
end

-- Its state, by what its forge shows. A closed issue completes an item, unless a job works on it: that ends first.
if live == 'closed' then
  item.closed = '1'
  save(ref)
  age(ref, now)
  if item.state == 'cancelled' and redis.call('ZREM', asks, ref) == 1 then
    redis.call('HSET', outside, ref, 'closed')
  elseif item.state ~= 'in_progress' and item.state ~= 'completed' and item.state ~= 'cancelled' then
    enter(ref, 'completed', 'closed on the forge', now)
  end
elseif how == 'added' or is_back() then
  item.closed, item.away, item.flagged = '', '', ''
  enter(ref, 'pending', how == 'added' and '' or 'back in the queue', now)
elseif item.closed == '1' then
  item.closed = ''
  save(ref)
end
-- Wanted again while the job of an earlier start is being ended.
if live == 'open' and item.state == 'in_progress' and (item.unwanted or '') ~= '' then
  item.again = '1'
  save(ref)
end
-- With the label for people, what waits is left to a person; what is worked on goes on.
if escalation_label ~= '' and live == 'open' and item.state ~= 'completed' and item.state ~= 'cancelled' then
  item.flagged = '1'
  save(ref)
  if item.state == 'pending' or item.state == 'blocked' or item.state == 'ready' then
    enter(ref, 'escalated', 'it carries the label ' .. escalation_label, now)
  end
end

-- Its edges, and all that could follow from them and from its state.
local touched = declare(ref, before, declared, now)
watch(ref, now)
refresh({ref}, now)
refresh(touched, now)
if how ~= 'same' then
  emit(events, how == 'added' and 'backlog.added' or 'backlog.edited', now, ref,
    cjson.encode({priority = item.priority, revision = item.revision, edges = declared}))
end
return {how, item.state}
