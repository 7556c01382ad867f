-- Let the lease of a turn at a tick run from now on.
-- KEYS  tick: token of the turn that is at it
-- ARGV  token: of the turn  lease_milliseconds
-- Returns whether it had not run out
if redis.call('GET', tick) ~= token then return 0 end
return redis.call('PEXPIRE', tick, lease_milliseconds)
