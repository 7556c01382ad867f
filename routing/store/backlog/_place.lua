-- Shared by the scripts that change whether an item at work holds a place of its repository; they include `redmain`.

-- Have an item stand aside for a reason, or with '' take a place again, whether one is free or not. True when it stands
-- as asked; false when it is not in progress, has another job, or `most` of its repository stand aside.
local function stand(ref, job, reason, most, review, is_red, now)
  local text = redis.call('HGET', backlog, ref)
  if not text then return false end
  local item = cjson.decode(text)
  if item.state ~= 'in_progress' or item.job ~= job then return false end
  local was_red = item.main_red == '1'
  local noted = review == (item.in_review or '') and is_red == was_red
  if noted and reason == (item.aside or '') then return true end
  local others, aside = beside(ref, item), 0
  for _, known in ipairs(others) do
    if (known.aside or '') ~= '' and (known.main_red == '1') == is_red then aside = aside + 1 end
  end
  local full = reason ~= '' and (item.aside or '') == '' and aside >= most
  if full and noted then return false end
  item.in_review, item.main_red = review, is_red and '1' or nil
  if not full then item.aside = reason end
  item.reason = reason ~= '' and reason or 'its job is queued or at work'
  redis.call('HSET', backlog, ref, cjson.encode(item))
  tell_of_main(ref, item, was_red, is_red, others, now, reason)
  return not full
end
