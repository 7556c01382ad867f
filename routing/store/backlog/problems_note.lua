-- A poll could not take something in: keep what it is, and tell people of what is new.
-- KEYS  problems: of the repository  events
-- ARGV  found: a JSON list of what the poll found, each with its `where` and `message`  retention_seconds
-- Returns the places in the list, from 1, of those that the poll before did not find
-- @include prelude
local known, news, listed = {}, {}, cjson.decode(found)
for _, one in ipairs(cjson.decode(redis.call('GET', problems) or '[]')) do
  known[one.where .. '\n' .. one.message] = true
end
for place, one in ipairs(listed) do
  if not known[one.where .. '\n' .. one.message] then
    emit(events, 'issue.unreadable', clock(time), one.where, cjson.encode({reason = one.message}))
    table.insert(news, place)
  end
end
if #listed == 0 then
  redis.call('DEL', problems)
else
  redis.call('SET', problems, found, 'EX', retention_seconds)
end
return news
