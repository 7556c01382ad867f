-- Note which job works on an item in progress.
-- KEYS  backlog: issue -> its record
-- ARGV  ref: the issue  fence: of the start, or '' for a tick that found the job  job: its id
-- Returns 1; 0 when the item is unknown or not in progress, was started again since, or has another job
local text = redis.call('HGET', backlog, ref)
if not text then return 0 end
local item = cjson.decode(text)
if fence ~= '' and fence ~= item.fence then return 0 end
if item.state ~= 'in_progress' then return 0 end
if item.job ~= '' and item.job ~= job then return 0 end
item.job = job
redis.call('HSET', backlog, ref, cjson.encode(item))
return 1
