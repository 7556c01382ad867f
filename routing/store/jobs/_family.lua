-- Shared by the scripts that keep families: `children` has a member PARENT:CHILD, all of one score, for each child
-- that has not ended; `bereaved` has the parents that failed or were cancelled before their children ended.
local function count_children(children, parent)
  return redis.call('ZLEXCOUNT', children, '[' .. parent .. ':', '(' .. parent .. ':~')
end

local function bereave(bereaved, children, parent)
  if count_children(children, parent) > 0 then redis.call('SADD', bereaved, parent) end
end
