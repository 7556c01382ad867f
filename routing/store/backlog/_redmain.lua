-- Shared by the scripts that change what an item at work waits for, which declare
-- KEYS  main_look: at the main branch of its repository  backlog: issue -> its record
--       backlog_working: items in progress  events

-- The records of other items of its repository that are at work; what cannot be read is none.
local function beside(ref)
  local found, repository = {}, string.match(ref, '^(.*)#')
  for _, other in ipairs(redis.call('SMEMBERS', backlog_working)) do
    if other ~= ref and string.match(other, '^(.*)#') == repository then
      local read, known = pcall(cjson.decode, redis.call('HGET', backlog, other) or '')
      if read and type(known) == 'table' then found[#found + 1] = known end
    end
  end
  return found
end

-- Say in an event that the first item waits for a green main branch, or that the last one no longer does. Not so while
-- a look at the main branch has found it red: then people know, and the look says when it is green.
local function tell_of_main(ref, was, is, others, now, reason)
  if was == is or (redis.call('HGET', main_look, 'reason') or '') ~= '' then return end
  for _, known in ipairs(others) do
    if known.main_red == '1' then return end
  end
  local data = is and {issue = ref, reason = reason} or {issue = ref}
  emit(events, is and 'main.red' or 'main.green', now, string.match(ref, '^(.*)#'), cjson.encode(data))
end
