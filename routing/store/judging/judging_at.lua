-- Note what is judged of a pair now: if its worker is lost, that is what it was lost at.
-- KEYS  pair: its record
-- ARGV  fence: of the claim  at: 'champion', 'canary' or 'base'
-- Returns 'ok'|'stale': another worker has it, or it is done
-- @include prelude
local f = redis.call('HMGET', pair, 'state', 'fence')
if f[1] ~= 'running' or f[2] ~= fence then return 'stale' end
redis.call('HSET', pair, 'at', at)
return 'ok'
