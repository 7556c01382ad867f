-- Give a turn at a tick back, unless another run was wished for meanwhile: that is this turn's too.
-- KEYS  tick: token of the turn that is at it  wish
-- ARGV  token: of the turn that ends  lease_milliseconds: for the next run
-- FLAGS goes_on: whether the turn may go on
-- Returns 'given back' | 'goes on' | 'ran out': before this call
if redis.call('GET', tick) ~= token then return 'ran out' end
if goes_on and redis.call('DEL', wish) == 1 then
  redis.call('PEXPIRE', tick, lease_milliseconds)
  return 'goes on'
end
redis.call('DEL', tick)
return 'given back'
