-- Send one mail to each of some recipients, all in one step. Terminal mail that is sent again under its key is no
-- second mail, but the sender has said so again: it counts for the turn that repeats it.
-- KEYS  1 mail_sequence  2 mails  3 events  4 mail_waiting  5 thread  6 the sender's record, or mail_sequence again
--       then five for each recipient: mail, its agent's record, waiting, received, once (or the mail again)
-- ARGV  1 now  2 retention, seconds  3 JSON list of fields and values that all of the mails have
--       4 most mails that may wait for an agent
--       5 flags, separated by commas: 'agent' (the sender is one, and must live), 'terminal' (it ends the sender's
--         task), 'once' (there is a dedupe key), 'gate' (the sender waits for a person), 'undecided' (it is sent only
--         to an agent that still waits at the gate that it answers)
--       6 id of the mail that is replied to, or ''  7 most entries of an index
--       then three for each recipient: mail id, name, 'person' or ''
-- Returns {word, id, sequence} for each recipient, word 'sent'|'same'|'unknown'|'finished'|'full'|'decided',
--         or {{'sender finished', '', '0'}}
-- @include prelude
-- @include mail
local sequence_key, mails, events, index, thread, sender = unpack(KEYS)
local now, retention, most = clock(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[7])
local flags = ',' .. ARGV[5] .. ','
local function flag(name) return string.find(flags, ',' .. name .. ',', 1, true) end
if flag('agent') and redis.call('HGET', sender, 'state') ~= 'live' then return {{'sender finished', '', '0'}} end

local function list(key, sequence, id)
  redis.call('ZADD', key, sequence, id)
  redis.call('ZREMRANGEBYRANK', key, 0, -most - 1)
  redis.call('EXPIRE', key, retention)
end

local function refusal(agent, waiting, person)
  if person then return nil end
  local state = redis.call('HGET', agent, 'state')
  if not state then return 'unknown' end
  if state ~= 'live' then return 'finished' end
  if flag('undecided') and redis.call('HGET', agent, 'gate') ~= ARGV[6] then return 'decided' end
  if redis.call('ZCARD', waiting) >= tonumber(ARGV[4]) then return 'full' end
  return nil
end

-- The sender waits for a person, until the mail's deadline if it has one.
local function wait_at(mail, id)
  redis.call('HSET', sender, 'gate', id)
  local deadline = redis.call('HGET', mail, 'deadline')
  if deadline then redis.call('HSET', sender, 'gate_until', deadline) else redis.call('HDEL', sender, 'gate_until') end
end

local function close_gate(agent)
  if ARGV[6] == '' or redis.call('HGET', agent, 'gate') ~= ARGV[6] then return end
  redis.call('HDEL', agent, 'gate', 'gate_until')
  redis.call('HSET', agent, 'gate_closed_at', stamp(now))
end

-- The sender has said how its task went: by a new mail, or by one that it sent before.
local function note_word(sequence, id)
  redis.call('HSET', sender, 'terminal', sequence, 'terminal_mail', id, 'terminal_at', stamp(now))
end

local function next_sequence() return string.format('%d', redis.call('INCR', sequence_key)) end

local function send(at, given)
  local mail, agent, waiting, received, once = unpack(KEYS, at, at + 4)
  local id, name, person = ARGV[given], ARGV[given + 1], ARGV[given + 2] == 'person'
  if flag('once') then
    local before = redis.call('HMGET', once, 'id', 'sequence')
    if before[1] then
      if flag('terminal') then note_word(next_sequence(), before[1]) end
      return {'same', before[1], before[2]}
    end
  end
  local refused = refusal(agent, waiting, person)
  if refused then return {refused, '', '0'} end
  local sequence = next_sequence()
  redis.call('HSET', mail, unpack(cjson.decode(ARGV[3])))
  redis.call('HSET', mail, 'id', id, 'sequence', sequence, 'recipient', name,
    'sent_at', stamp(now), 'state', 'queued', 'attempts', '0', 'fence', '0')
  redis.call('EXPIRE', mail, retention)
  list(mails, sequence, id)
  list(received, sequence, id)
  list(thread, sequence, id)
  if flag('once') then
    redis.call('HSET', once, 'id', id, 'sequence', sequence)
    redis.call('EXPIRE', once, retention)
  end
  if person then
    if flag('gate') and flag('agent') then wait_at(mail, id) end
  else
    redis.call('ZADD', waiting, sequence, id)
    redis.call('EXPIRE', waiting, retention)
    redis.call('ZADD', index, 'NX', now, name)
    close_gate(agent)
  end
  if flag('terminal') then note_word(sequence, id) end
  local f = redis.call('HMGET', mail, 'sender', 'type', 'priority')
  emit(events, 'mail.sent', now, id, cjson.encode({from = f[1], to = name, type = f[2], priority = f[3]}))
  return {'sent', id, sequence}
end

local answers = {}
for i = 0, (#KEYS - 6) / 5 - 1 do answers[i + 1] = send(7 + 5 * i, 8 + 3 * i) end
return answers
