-- What turns have cost: a hash has the sum of each label as fields LABEL:MEASURE. O(measures).
-- cost: names and numbers, one after the other
local function tokens_of(cost)
  local sum = 0
  for i = 1, #cost, 2 do
    if cost[i] == 'input_tokens' or cost[i] == 'output_tokens' then sum = sum + tonumber(cost[i + 1]) end
  end
  return sum
end

local function measure(cost, name)
  for i = 1, #cost, 2 do
    if cost[i] == name then return tonumber(cost[i + 1]) end
  end
  return 0
end

local function add_cost(hash, label, cost)
  for i = 1, #cost, 2 do redis.call('HINCRBYFLOAT', hash, label .. ':' .. cost[i], cost[i + 1]) end
end
