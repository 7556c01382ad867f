-- Take in an issue as the forge shows it now: new, edited, closed, reopened, or as it was.
-- KEYS  1 items  2 edges  3 outside  4 asks  5 ready  6 open  7 working  8 finished  9 events  10 states
-- ARGV  1 now  2 what an unknown blocker is  3 ref  4 'open'|'closed'  5 the label on it that asks for a person, or ''
--       6 JSON of the fields that an edit may change, all text  7 its declared edges: 'blocked blocker' by commas
--       8 JSON of notes about the look itself, all text: no change of the issue
-- Returns {word, state}: 'added'|'edited'|'same', or {'closed', ''} for a closed issue that was no item
-- @include prelude
-- @include backlog
local now, ref, live, person = clock(ARGV[1]), ARGV[3], ARGV[4], ARGV[5] ~= ''
local fields, declared = cjson.decode(ARGV[6]), ARGV[7]
local item, word = load(ref), 'same'

if not item and live == 'closed' then
  if redis.call('ZSCORE', asks, ref) or redis.call('HEXISTS', outside, ref) == 1 then
    redis.call('HSET', outside, ref, 'closed')
    redis.call('ZREM', asks, ref)
    refresh({ref}, now)
  end
  return {'closed', ''}
end
if not item then
  word = 'added'
  item = {v = '1', state = 'new', reason = '', ring = '', edges = '', job = '', fence = '0', closed = '', away = '',
    flagged = '', pause = '', requested_by = '', place = fields.place, added_at = stamp(now), changed_at = stamp(now)}
  book[ref] = item
end
for name, value in pairs(cjson.decode(ARGV[8])) do item[name] = value end
local before = item.edges
for name, value in pairs(fields) do
  -- who asked for the work stays known when a later look cannot tell
  if item[name] ~= value and not (name == 'requested_by' and value == '') then
    if name == 'place' and item.state == 'ready' then
      redis.call('ZREM', ready, item.place)
      redis.call('ZADD', ready, 0, value)
    end
    if name == 'held' and value ~= '' then
      emit(events, 'backlog.held', now, ref, cjson.encode({reason = value}))
    end
    item[name] = value
    if word == 'same' then word = 'edited' end
  end
end
if before ~= declared then
  item.edges = declared
  if word == 'same' then word = 'edited' end
end
save(ref)

local function is_back()
  if item.state == 'completed' then return item.closed == '1' end
  if item.state == 'cancelled' then return item.closed == '1' or item.away == '1' end
  return (item.state == 'escalated' or item.state == 'frozen') and item.flagged == '1' and not person
end

if live == 'closed' then
  item.closed = '1'
  save(ref)
  age(ref, now)
  if item.state == 'cancelled' and redis.call('ZREM', asks, ref) == 1 then
    redis.call('HSET', outside, ref, 'closed')
  elseif item.state ~= 'in_progress' and item.state ~= 'completed' and item.state ~= 'cancelled' then
    enter(ref, 'completed', 'closed on the forge', now)
  end
elseif word == 'added' or is_back() then
  item.closed, item.away, item.flagged = '', '', ''
  enter(ref, 'pending', word == 'added' and '' or 'back in the queue', now)
elseif item.closed == '1' then
  item.closed = ''
  save(ref)
end
if person and live == 'open' and item.state ~= 'completed' and item.state ~= 'cancelled' then
  item.flagged = '1'
  save(ref)
  if item.state == 'pending' or item.state == 'blocked' or item.state == 'ready' then
    enter(ref, 'escalated', 'it carries the label ' .. ARGV[5], now)
  end
end

local touched = declare(ref, before, declared, now)
watch(ref, now)
refresh({ref}, now)
refresh(touched, now)
if word ~= 'same' then
  emit(events, word == 'added' and 'backlog.added' or 'backlog.edited', now, ref,
    cjson.encode({priority = item.priority, revision = item.revision, edges = declared}))
end
return {word, item.state}
