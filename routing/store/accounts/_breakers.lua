-- Shared by the scripts that close and open breakers.
local function breaker_of(breakers, name)
  local text = redis.call('HGET', breakers, name)
  return text and cjson.decode(text) or nil
end

local function open_now(breakers, events, name, b, now, by)
  local since = b.since or now
  redis.call('HSET', breakers, name, cjson.encode({account = b.account, model = b.model, state = 'open', tries = 0,
    used_at = b.used_at}))
  emit(events, 'account.reopened', now, name, cjson.encode({account = b.account, model = b.model, kind = b.kind,
    seconds = math.floor(now - since), by = by}))
end

-- The job that tries it was answered. Returns whether that opened it.
local function open_as_probe(breakers, events, name, job, now)
  local b = breaker_of(breakers, name)
  if not b or b.state == 'open' or b.state == 'closed' and not b['until'] or b.probe ~= job then return false end
  open_now(breakers, events, name, b, now, '')
  return true
end

-- Whether agents of a version start, by its breaker, as far as the fleet knows.
local function starts(b) return not b or b.state == 'open' and not b.failing end
