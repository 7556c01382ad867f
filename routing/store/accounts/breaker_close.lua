-- An account, or one model of it, does not serve: close it until a time, or until a person opens it.
-- A report of a turn that began before it was closed can only put the end off: the probe alone says that it is not
-- over, also where the report is of another kind. A limit of one model says that the account as a whole serves again, if the same job was to try that.
-- KEYS  breakers, events
-- ARGV  account  model: '*' for all  kind  state: 'limited', 'broken' or 'closed'  given: until when, as was said, or ''
--       words  job: that met it, or '' for a person's wish  first_seconds, cap_seconds: of the back-off
--       broken_seconds: after which it is tried again without a person  by: who closed it, or ''
-- Returns 1 when a limit has begun of which people have not heard, else 0
-- @include prelude
-- @include breakers
local now = clock(time)
local name = account .. '/' .. model
local b = breaker_of(breakers, name) or {account = account, model = model, state = 'open', tries = 0}
local was_open, is_probe = b.state == 'open', b.probe == job and job ~= ''
if model ~= '*' and job ~= '' then open_as_probe(breakers, events, account .. '/*', job, now) end
-- A person's word counts until its time has come.
if b.state == 'closed' and state ~= 'closed' and (not b['until'] or b['until'] > now) then return 0 end
local till = tonumber(given)
if not was_open and not is_probe and job ~= '' and (state == b.state or b.state == 'broken') then
  if state == b.state and till and (b['until'] or 0) < till then
    b['until'], b.given = till, true
    redis.call('HSET', breakers, name, cjson.encode(b))
  end
  return 0
end
local begins = was_open or state ~= b.state and state ~= 'limited'
if was_open then b.since, b.tries = now, 0 elseif is_probe then b.tries = b.tries + 1 end
local back_off = math.min(tonumber(cap_seconds), tonumber(first_seconds) * 2 ^ b.tries)
if state == 'closed' then
  b['until'] = till
elseif state == 'broken' then
  b['until'] = now + tonumber(broken_seconds)
elseif till then -- a hint that was wrong once is not believed alone
  b['until'] = b.tries > 0 and math.max(till, now + back_off / 2) or math.max(till, now + 1)
else
  b['until'] = now + back_off
end
b.state, b.kind, b.words, b.given = state, kind, words, till ~= nil
if is_probe or job == '' then b.probe = nil end -- one that is at work goes on: its answer counts
redis.call('HSET', breakers, name, cjson.encode(b))
if begins then
  local event = state == 'limited' and 'account.limited' or state == 'broken' and 'account.broken' or 'account.closed'
  emit(events, event, now, name, cjson.encode({account = account, model = model, kind = kind, words = words,
    ['until'] = b['until'], by = by}))
end
return begins and 1 or 0
