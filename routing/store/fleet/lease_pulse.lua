-- A sweep begins: note when, so that leases which ran out while none could are not taken from their holders at once.
-- KEYS  pulse
-- ARGV  none
-- Returns 1; 0 where no sweep was noted before
-- @include prelude
-- @include lease
local known = redis.call('EXISTS', pulse)
beat(pulse, clock(time))
return known
