-- A sweep begins: note when, so that leases which ran out while none could are not taken from their holders at once.
-- KEYS  pulse
-- ARGV  mark: of the store, if it has none
-- Returns the store's mark: that of the first sweep that it knows of
-- @include prelude
-- @include lease
beat(pulse, clock(time))
redis.call('HSETNX', pulse, 'mark', mark)
return redis.call('HGET', pulse, 'mark')
