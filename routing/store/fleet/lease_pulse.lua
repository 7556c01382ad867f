-- A sweep begins: note when, so that leases which ran out while none could are not taken from their holders at once.
-- KEYS  pulse  and what a sweep looks after: leases outbox unclaimed held limited bereaved mail_waiting judging
-- ARGV  mark: of the store, if it has none
-- Returns the store's mark, that of the first sweep that it knows of, and how many of the lists have an entry
-- @include prelude
-- @include lease
beat(pulse, clock(time))
redis.call('HSETNX', pulse, 'mark', mark)
return {redis.call('HGET', pulse, 'mark'),
  redis.call('EXISTS', leases, outbox, unclaimed, held, limited, bereaved, mail_waiting, judging)}
