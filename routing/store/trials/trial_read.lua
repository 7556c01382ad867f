-- A trial's settlements were read up to a place: forget that it moved, unless more came since.
-- KEYS  settlements, trials_moved
-- ARGV  id: of the trial  seen: number of settlements read
-- Returns 1 when it is forgotten, else 0
if redis.call('LLEN', settlements) ~= tonumber(seen) then return 0 end
return redis.call('SREM', trials_moved, id)
