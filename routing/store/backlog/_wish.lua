-- An item's member in the list of what is ready, with the priority that holds: what a person set outranks what the
-- issue says. Included by the scripts that change either.
local function ready_place(place, item)
  local wished = item.wished or ''
  if wished == '' then wished = item.priority end
  local repository, number = string.match(place, '^(.+) %d+ (%d+)$')
  return repository .. ' ' .. string.format('%02d', tonumber(wished)) .. ' ' .. number
end
