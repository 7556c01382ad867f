-- Shared by the scripts of the backlog. Their first ten keys are
--   1 items: ref -> record  2 edges  3 outside: ref -> what the forge said of an issue that is no item
--   4 asks: when the forge is to be asked about it  5 ready  6 open  7 working  8 finished  9 events
--   10 states: every item by its state
-- and their second argument says what an issue is that the forge does not know: 'satisfied' or 'blocked'.
-- Edges are stored twice, '<blocked blocker declarer' and '>blocker blocked declarer', to be found from both sides;
-- each stands as long as one of the two issues declares it.
local items, edges, outside, asks, ready, open, working, finished, events, states = unpack(KEYS, 1, 10)
local missing_is = ARGV[2]
local book = {}

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

local function is_item(ref)
  local item = load(ref)
  return item and item.state ~= 'cancelled'
end

-- Whether a blocker is 'done', 'open' or 'unasked', and why.
local function blocker_state(ref)
  if is_item(ref) then
    local state = load(ref).state
    return state == 'completed' and 'done' or 'open', state
  end
  local said = redis.call('HGET', outside, ref)
  if said == 'missing' then return missing_is == 'satisfied' and 'done' or 'open', 'unknown to the forge' end
  if said == 'closed' then return 'done', said end
  if said == 'open' then return 'open', said end
  return 'unasked', 'the forge has not said'
end

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

-- The issues that wait for each other and for this one, in order; '' for none.
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

-- An item's entry among all items: by state, repository, number.
local function shelf(ref, state)
  local repository, number = string.match(ref, '^(.*)#(%d+)$')
  return state .. ' ' .. repository .. ' ' .. string.format('%010d', tonumber(number))
end

-- Whether a person took an item out of the queue: it stays out until a person lets it back, or it is reopened.
local function is_paused(item) return item.state == 'cancelled' and item.away ~= '1' end

-- What is finished is forgotten in time. What is paused is not as long as it is open: it would come back as new.
local function age(ref, now)
  local item = load(ref)
  local over = item.state == 'completed' or item.state == 'cancelled'
  if over and not (is_paused(item) and item.closed ~= '1') then
    redis.call('ZADD', finished, 'NX', now, ref)
  else
    redis.call('ZREM', finished, ref)
  end
end

-- The one way by which an item changes its state: its indexes and its event go with it.
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

-- What the blockers of an item make of it: a state, and why.
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

-- Look anew at issues that changed, at those that wait for them, and at the cycles that they are and were in.
local function refresh(changed, now)
  local todo, seen = {}, {}
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
    -- an issue that is no item keeps no ring of its own, but may be in one
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

-- An issue that is no item is asked about as long as an item waits for it.
local function watch(ref, now)
  if not is_item(ref) and #neighbours('>', ref) > 0 then
    redis.call('ZADD', asks, 'NX', now, ref)
  else
    redis.call('ZREM', asks, ref)
    redis.call('HDEL', outside, ref)
  end
end

-- Make an item's declared edges, 'blocked blocker' between commas, those of a text; returns the issues they touch.
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
