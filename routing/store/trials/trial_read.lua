-- A trial's settlements were read up to a place: forget that it moved, unless more came since.
-- KEYS  1 trials:moved  2 settlements
-- ARGV  1 now (unused)  2 trial id  3 number of settlements read
-- Returns 1 when it is forgotten, else 0
if redis.call('LLEN', KEYS[2]) ~= tonumber(ARGV[3]) then return 0 end
return redis.call('SREM', KEYS[1], ARGV[2])
