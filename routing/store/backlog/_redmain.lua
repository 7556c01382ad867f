-- Shared by the scripts that change what an item at work waits for, which declare
-- KEYS  main_look: at the main branch of its repository  backlog: issue -> its record
--       backlog_working: items in progress  events

-- The repository that the work on an item goes to: that of the issue itself, unless it is an issue of a tracker.
local function place_of(ref, item)
  return (item.works_in or '') ~= '' and item.works_in or string.match(ref, '^(.*)#')
end

-- The records of other items at work in its repository; what cannot be read is none.
local function beside(ref, item)
  local found, repository = {}, place_of(ref, item)
  for _, other in ipairs(redis.call('SMEMBERS', backlog_working)) do
    local read, known = pcall(cjson.decode, other ~= ref and redis.call('HGET', backlog, other) or '')
    if read and type(known) == 'table' and place_of(other, known) == repository then found[#found + 1] = known end
  end
  return found
end

-- Say in an event that the first item waits for a green main branch, or that the last one no longer does. Not so while
-- a look at the main branch has found it red: then people know, and the look says when it is green.
local function tell_of_main(ref, item, was, is, others, now, reason)
  if was == is or (redis.call('HGET', main_look, 'reason') or '') ~= '' then return end
  for _, known in ipairs(others) do
    if known.main_red == '1' then return end
  end
  local data = is and {issue = ref, reason = reason} or {issue = ref}
  emit(events, is and 'main.red' or 'main.green', now, place_of(ref, item), cjson.encode(data))
end
