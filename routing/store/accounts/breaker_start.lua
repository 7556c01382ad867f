-- An agent of a version has started: what failed before is forgotten, and the version's jobs go on if they waited.
-- KEYS  breakers, events
-- ARGV  account: the version's name there
-- Returns 1 when its breaker was closed and is open now, else 0
-- @include prelude
-- @include breakers
local name = account .. '/'
local b = breaker_of(breakers, name)
if not b or b.state == 'closed' then return 0 end
if b.state == 'open' then
  if b.failed then
    b.failed, b.alike, b.failing = nil, nil, nil
    redis.call('HSET', breakers, name, cjson.encode(b))
  end
  return 0
end
open_now(breakers, events, name, b, clock(time), '')
return 1
