-- Note which job works on an item in progress.
-- KEYS  1 items
-- ARGV  1 now, not used  2 ref  3 fence of the start, or '' for whoever finds it  4 job
-- Returns 'ok'|'missing'|'stale'|'job:' with another job that works on it|the state that does not allow it
local text = redis.call('HGET', KEYS[1], ARGV[2])
if not text then return 'missing' end
local item = cjson.decode(text)
if ARGV[3] ~= '' and ARGV[3] ~= item.fence then return 'stale' end
if item.state ~= 'in_progress' then return item.state end
if item.job ~= '' and item.job ~= ARGV[4] then return 'job:' .. item.job end
item.job = ARGV[4]
redis.call('HSET', KEYS[1], ARGV[2], cjson.encode(item))
return 'ok'
