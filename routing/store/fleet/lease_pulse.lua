-- A sweep begins: note when, so that leases which ran out while none could are not taken from their holders at once.
-- KEYS  pulse
-- ARGV  none
-- Returns 1
-- @include prelude
-- @include lease
beat(pulse, clock(time))
return 1
