-- Shared by the scripts of the backlog, which declare
-- KEYS  backlog: issue -> its record  backlog_edges: dependencies  backlog_outside: what forges said about issues
--       that are not items  backlog_asks: when to ask the forge about those  backlog_ready, backlog_open: lists
--       backlog_working: items in progress  backlog_finished: by time  backlog_states: every item by its state
--       events
-- ARGV  unknown_blocker: what an issue is that its forge does not know, 'satisfied' or 'blocked'
-- An edge is stored twice, '<blocked blocker declarer' and '>blocker blocked declarer', to be found from both
-- sides. Each of the two issues may declare it, and it holds as long as one of them does.
local items, edges, outside, asks = backlog, backlog_edges, backlog_outside, backlog_asks
local ready, open, working = backlog_ready, backlog_open, backlog_working
local finished, states = backlog_finished, backlog_states
local book = {} -- the items that this step has read, by issue; false where there is none

-- An item's record, read once in a step; what the step changes in it must be saved.
local function load(ref)
  if book[ref] == nil then
    local text = redis.call('HGET', items, ref)
    book[ref] = text and cjson.decode(text) or false
  end
  return book[ref]
end

local function save(ref) redis.call('HSET', items, ref, cjson.encode(book[ref])) end

-- The blockers ('<') or the dependents ('>') of an issue, each once.
local function neighbours(direction, ref)
  local found = {}
  local from = direction .. ref
  for _, member in ipairs(redis.call('ZRANGEBYLEX', edges, '[' .. from .. ' ', '(' .. from .. '!')) do
    local other = string.match(member, ' (%S+) ')
    if other ~= found[#found] then found[#found + 1] = other end
  end
  return found
end

-- Whether an issue counts as an item. A cancelled one does not: its forge says whether it blocks others.
local function is_item(ref)
  local item = load(ref)
  return item and item.state ~= 'cancelled'
end

-- Whether a blocker is 'done', 'open' or 'unasked' (its forge has not answered yet), and why.
local function blocker_state(ref)
  if is_item(ref) then
    local state = load(ref).state
    return state == 'completed' and 'done' or 'open', state
  end
  local said = redis.call('HGET', outside, ref)
  if said == 'missing' then return unknown_blocker == 'satisfied' and 'done' or 'open', 'unknown to the forge' end
  if said == 'closed' then return 'done', said end
  if said == 'open' then return 'open', said end
  return 'unasked', 'the forge has not said'
end

-- The unfinished issues that can be reached from one by following edges in a direction.
local function reach(direction, ref)
  local seen, stack = {}, {ref}
  while #stack > 0 do
    for _, other in ipairs(neighbours(direction, table.remove(stack))) do
      if not seen[other] and blocker_state(other) ~= 'done' then
        seen[other] = true
        stack[#stack + 1] = other
      end
    end
  end
  return seen
end

-- The issues of the cycle that this one is in, sorted; '' when it is in none. They are those that wait for it, by
-- any way, and that it waits for: its strongly connected component. Issues that are done break a cycle.
local function ring_of(ref)
  if blocker_state(ref) == 'done' then return '' end
  local down = reach('>', ref)
  if not down[ref] then return '' end
  local up, members = reach('<', ref), {}
  for other in pairs(down) do
    if up[other] then members[#members + 1] = other end
  end
  table.sort(members)
  return table.concat(members, ' ')
end

-- An item's member in the list of all items, which sorts by state, repository and number.
local function shelf(ref, state)
  local repository, number = string.match(ref, '^(.*)#(%d+)$')
  return state .. ' ' .. repository .. ' ' .. string.format('%010d', tonumber(number))
end

-- Whether a person took an item out of the queue: it stays out until a person lets it back in, or it is reopened.
local function is_paused(item) return item.state == 'cancelled' and item.away ~= '1' end

-- List an item for the trim once it is finished. A paused one is listed only when its issue is closed: forgotten
-- while it is open, it would be taken in again as new.
local function age(ref, now)
  local item = load(ref)
  local over = item.state == 'completed' or item.state == 'cancelled'
  if over and not (is_paused(item) and item.closed ~= '1') then
    redis.call('ZADD', finished, 'NX', now, ref)
  else
    redis.call('ZREM', finished, ref)
  end
end

-- The only way to change an item's state: its lists and its event change with it.
local function enter(ref, to, reason, now)
  local item = load(ref)
  local from = item.state
  if from == to and item.reason == reason then return end
  item.state, item.reason, item.changed_at = to, reason, stamp(now)
  save(ref)
  if from == to then return end
  if to == 'ready' then redis.call('ZADD', ready, 0, item.place) else redis.call('ZREM', ready, item.place) end
  redis.call(to == 'in_progress' and 'SADD' or 'SREM', working, ref)
  redis.call('ZREM', states, shelf(ref, from))
  redis.call('ZADD', states, 0, shelf(ref, to))
  if to == 'completed' or to == 'cancelled' then redis.call('ZREM', open, ref) else redis.call('ZADD', open, 0, ref) end
  age(ref, now)
  emit(events, 'backlog.state', now, ref, cjson.encode({from = from, to = to, reason = reason}))
end

-- The state that an item's blockers give it, and why.
local function judged(ref, item)
  if item.held ~= '' then return 'blocked', item.held end
  if item.ring ~= '' then return 'blocked', 'in a cycle of dependencies: ' .. item.ring end
  local waits, unasked = {}, {}
  for _, blocker in ipairs(neighbours('<', ref)) do
    local answer, why = blocker_state(blocker)
    if answer == 'open' then waits[#waits + 1] = blocker .. ' (' .. why .. ')' end
    if answer == 'unasked' then unasked[#unasked + 1] = blocker end
  end
  if #waits > 0 then return 'blocked', 'waits for ' .. table.concat(waits, ', ') end
  if #unasked == 0 then return 'ready', '' end
  return item.state == 'blocked' and 'blocked' or 'pending', 'the forge is asked about ' .. table.concat(unasked, ', ')
end

-- Give an item the state that follows from its blockers. `look`: search for a cycle first.
local function evaluate(ref, look, now)
  local item = load(ref)
  if look or item.ring ~= '' then
    local ring = ring_of(ref)
    if ring ~= item.ring then
      item.ring = ring
      save(ref)
      if ring ~= '' then emit(events, 'backlog.cycle', now, ref, cjson.encode({members = ring})) end
    end
  end
  if item.state == 'pending' or item.state == 'blocked' or item.state == 'ready' then
    local to, reason = judged(ref, item)
    enter(ref, to, reason, now)
  end
end

-- Evaluate issues that changed, those that wait for them, and the members of the cycles they are and were in.
local function refresh(changed, now)
  local todo, seen = {}, {}
  -- An issue is evaluated once, or twice when only the second time is a search for its cycle asked for.
  local function add(ref, look)
    if not seen[ref] or (look and seen[ref] ~= 'looked') then
      seen[ref] = look and 'looked' or 'seen'
      todo[#todo + 1] = {ref, look}
    end
  end
  local function add_ring(ref)
    local item = load(ref)
    for other in string.gmatch(item and item.ring or '', '%S+') do add(other, true) end
  end
  for _, ref in ipairs(changed) do
    add(ref, true)
    add_ring(ref)
    -- an issue that is not an item has no record of its cycle, but may be in one
    for _, other in ipairs(neighbours('>', ref)) do add(other, not load(ref)) end
  end
  local at = 1
  while at <= #todo do
    local ref, look = unpack(todo[at])
    if load(ref) then
      add_ring(ref)
      evaluate(ref, look, now)
      add_ring(ref)
    end
    at = at + 1
  end
end

-- Ask the forge about an issue that is not an item, as long as an item waits for it.
local function watch(ref, now)
  if not is_item(ref) and #neighbours('>', ref) > 0 then
    redis.call('ZADD', asks, 'NX', now, ref)
  else
    redis.call('ZREM', asks, ref)
    redis.call('HDEL', outside, ref)
  end
end

-- Replace the edges that an item declares; both texts are 'blocked blocker' pairs between commas. Returns the
-- issues at the other ends, each of which has to be evaluated.
local function declare(ref, before, after, now)
  local touched = {}
  if before == after then return touched end
  for blocked, blocker in string.gmatch(before, '([^%s,]+) ([^%s,]+)') do
    touched[#touched + 1] = blocked == ref and blocker or blocked
    redis.call('ZREM', edges, '<' .. blocked .. ' ' .. blocker .. ' ' .. ref)
    redis.call('ZREM', edges, '>' .. blocker .. ' ' .. blocked .. ' ' .. ref)
  end
  for blocked, blocker in string.gmatch(after, '([^%s,]+) ([^%s,]+)') do
    touched[#touched + 1] = blocked == ref and blocker or blocked
    redis.call('ZADD', edges, 0, '<' .. blocked .. ' ' .. blocker .. ' ' .. ref)
    redis.call('ZADD', edges, 0, '>' .. blocker .. ' ' .. blocked .. ' ' .. ref)
  end
  for _, other in ipairs(touched) do watch(other, now) end
  return touched
end
