-- Put jobs that wait for an account into the outbox, the oldest first: all of a gate that is open, and one of a gate
-- whose account is to be tried. That is another one each time, so that a job that always meets a limit keeps nobody
-- waiting. A gate whose version was rejected, or did not start and was replaced, lets all go, to the champion; of the
-- latter, jobs that asked for that very version are held anew.
-- A gate is what the settings said when its jobs were claimed. So one job of a shut gate is let go each minute, to be
-- held at what they say now; where `job_claim` noted that this was another gate, all others follow.
-- Beside a gate, of the name DIGEST, stands what is remembered of it: `!DIGEST`, JSON of `at`: when a job last went to
-- try it, `tried`: which did since all had, and `looked`: when one last went to be held anew. `?DIGEST`: see above.
-- An earlier release noted the time alone there, as a bare number.
-- KEYS  day_costs: sums of today  limited, gates, breakers, leases, outbox, paused, rejected, trials_open, champions
-- ARGV  most: jobs of one gate  again_seconds: until another job may try an account that nobody has taken
--       look_seconds: until one of a shut gate is held anew  keep_seconds: for which a gate that is gone is remembered
-- Returns how many were put there
-- @include prelude
-- @include breakers
-- @include accounts
local TRIED = 200 -- jobs of a gate that take turns at trying

local function id_of(member) return string.match(member, '([^:]+)$') end

-- What is remembered of a gate; what says nothing is as if nothing were remembered since `otherwise`.
local function note_of(text, otherwise)
  local read, note = pcall(cjson.decode, text or '')
  if read and type(note) == 'table' then
    return {at = tonumber(note.at) or 0, tried = type(note.tried) == 'table' and note.tried or {},
      looked = tonumber(note.looked) or 0, replaced = tonumber(note.replaced)}
  end
  local at = tonumber(text)
  return {at = at or 0, tried = {}, looked = at or otherwise}
end

-- The first that has not tried yet; when all have, they begin anew.
local function next_to_try(members, note)
  local has_tried = {}
  for _, id in ipairs(note.tried) do has_tried[id] = true end
  for _, member in ipairs(members) do
    if not has_tried[id_of(member)] then return member end
  end
  note.tried = {}
  return members[1]
end

if redis.call('EXISTS', paused) == 1 then return 0 end
local now, released = clock(time), 0
local all = redis.call('HGETALL', gates)

-- Of a gate whose account is to be tried: the job that goes.
local function to_try(low, high, note)
  if now - note.at < tonumber(again_seconds) then return {} end
  local member = next_to_try(redis.call('ZRANGEBYLEX', limited, low, high, 'LIMIT', 0, TRIED), note)
  if not member then return {} end
  note.at, note.tried[#note.tried + 1] = now, id_of(member)
  if #note.tried > TRIED then note.tried = {} end
  return {member}
end

-- Those that go from a gate now.
local function chosen_of(digest, gate, note)
  local low, high = '[' .. digest .. ':', '(' .. digest .. ':~'
  local function first(count) return redis.call('ZRANGEBYLEX', limited, low, high, 'LIMIT', 0, count) end
  if redis.call('SISMEMBER', rejected, gate.version) == 1 then return first(most) end
  if is_replaced(gate, breakers, champions, trials_open) and now - (note.replaced or 0) >= tonumber(look_seconds) then
    note.replaced = now
    return first(most)
  end
  local own, how = through(gate, breakers, leases, trials_open, now, '', day_costs)
  if own and how == 'open' then return first(most) end
  if now - note.looked >= tonumber(look_seconds) then
    note.looked = now
    if redis.call('HDEL', gates, '?' .. digest) == 1 then return first(most) end
    if not own then return first(1) end
  end
  return own and to_try(low, high, note) or {}
end

for at = 1, #all, 2 do
  local digest = all[at]
  if not string.find(digest, '^[!?]') then
    local text = redis.call('HGET', gates, '!' .. digest)
    local note = note_of(text, now)
    local members = chosen_of(digest, cjson.decode(all[at + 1]), note)
    for place, member in ipairs(members) do
      redis.call('ZREM', limited, member)
      redis.call('ZADD', outbox, stamp(now - (#members - place) / 1000000), id_of(member))
    end
    released = released + #members
    local noted = cjson.encode(note)
    if noted ~= text then redis.call('HSET', gates, '!' .. digest, noted) end
    if redis.call('ZLEXCOUNT', limited, '[' .. digest .. ':', '(' .. digest .. ':~') == 0 then
      redis.call('HDEL', gates, digest)
      if #members == 0 then redis.call('HDEL', gates, '!' .. digest) end -- else they may be back in a moment
    end
  end
end
-- What was noted of gates that are gone.
for at = 1, #all, 2 do
  local name = all[at]
  local sign, digest = string.match(name, '^([!?])(.+)$')
  if sign and redis.call('HEXISTS', gates, digest) == 0 then
    local note = sign == '!' and note_of(all[at + 1], 0)
    if not note or now - math.max(note.at, note.looked) > tonumber(keep_seconds) then redis.call('HDEL', gates, name) end
  end
end
return released
