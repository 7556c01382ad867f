-- Take a turn at a tick; where another process is at it, have that one run it once more.
-- KEYS  tick: token of the turn that is at it  wish: for a run that begins after this call  asked: a message waits
-- ARGV  token: of the new turn  lease_milliseconds  wish_seconds: for which a wish is remembered
--       useful_until: by the server's clock, when the run is no longer of use, or ''
-- FLAGS only_wished: take the turn only where a wish is left, and leave none
-- Returns whether the turn was taken
-- @include prelude
if useful_until ~= '' and clock(time) > tonumber(useful_until) then return 0 end
if only_wished and redis.call('EXISTS', wish) == 0 then return 0 end
redis.call('DEL', asked)
if redis.call('SET', tick, token, 'NX', 'PX', lease_milliseconds) then
  redis.call('DEL', wish)
  return 1
end
if not only_wished then redis.call('SET', wish, '1', 'EX', wish_seconds) end
return 0
