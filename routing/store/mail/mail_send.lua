-- Send one mail to each of some recipients, all in one step. Terminal mail that is sent again under its dedupe key is
-- no second mail, but the sender has said so again: it counts for the turn that repeats it.
-- KEYS  thread, sender: its record (or the thread again), mail_sequence, mails, events, mail_waiting, and for each
--       recipient  mail, agent: its record, waiting, received, once: its dedupe key (or the mail again)
-- ARGV  retention_seconds  fields: JSON list of fields and values that all of the mails have
--       most_waiting: mails that may wait for an agent  reply_to: id of the mail that is answered, or ''
--       most_listed: entries of a list, and for each recipient  id: of its mail, name, person: '1' for people, or ''
-- FLAGS by_agent: the sender is one, and must live  terminal: it ends the sender's task
--       keyed: there is a dedupe key  gate: the sender waits for a person
--       undecided: only to an agent that still waits at the gate that this answers
-- Returns {word, id, sequence} for each recipient, word 'sent', 'same' (under its key), 'unknown', 'finished', 'full'
--         or 'decided'; or {{'sender finished', '', '0'}}
-- @include prelude
-- @include mail
local now = clock(time)
if by_agent and redis.call('HGET', sender, 'state') ~= 'live' then return {{'sender finished', '', '0'}} end

-- Add a mail to a bounded list.
local function list(key, sequence, id)
  redis.call('ZADD', key, sequence, id)
  redis.call('ZREMRANGEBYRANK', key, 0, -tonumber(most_listed) - 1)
  redis.call('EXPIRE', key, retention_seconds)
end

-- Why a recipient gets no mail, if so; a person always does.
local function refusal(agent, waiting, person)
  if person then return nil end
  local state = redis.call('HGET', agent, 'state')
  if not state then return 'unknown' end
  if state ~= 'live' then return 'finished' end
  if undecided and redis.call('HGET', agent, 'gate') ~= reply_to then return 'decided' end
  if redis.call('ZCARD', waiting) >= tonumber(most_waiting) then return 'full' end
  return nil
end

-- The sender waits for a person, until the mail's deadline if it has one.
local function wait_at(mail, id)
  redis.call('HSET', sender, 'gate', id)
  local deadline = redis.call('HGET', mail, 'deadline')
  if deadline then redis.call('HSET', sender, 'gate_until', deadline) else redis.call('HDEL', sender, 'gate_until') end
end

-- The recipient no longer waits for a person, if this mail answers its gate.
local function close_gate(agent)
  if reply_to == '' or redis.call('HGET', agent, 'gate') ~= reply_to then return end
  redis.call('HDEL', agent, 'gate', 'gate_until')
  redis.call('HSET', agent, 'gate_closed_at', stamp(now))
end

-- The sender has said how its task went: by a new mail, or by one that it sent before.
local function note_word(sequence, id)
  redis.call('HSET', sender, 'terminal', sequence, 'terminal_mail', id, 'terminal_at', stamp(now))
end

local function next_sequence() return string.format('%d', redis.call('INCR', mail_sequence)) end

-- One envelope. The event and the lists come with the mail, so that none of them is seen without the others.
local function send(mail, agent, waiting, received, once, id, name, person)
  if keyed then
    local before = redis.call('HMGET', once, 'id', 'sequence')
    if before[1] then
      if terminal then note_word(next_sequence(), before[1]) end
      return {'same', before[1], before[2]}
    end
  end
  local refused = refusal(agent, waiting, person)
  if refused then return {refused, '', '0'} end
  local sequence = next_sequence()
  redis.call('HSET', mail, unpack(cjson.decode(fields)))
  redis.call('HSET', mail, 'id', id, 'sequence', sequence, 'recipient', name,
    'sent_at', stamp(now), 'state', 'queued', 'attempts', '0', 'fence', '0')
  redis.call('EXPIRE', mail, retention_seconds)
  list(mails, sequence, id)
  list(received, sequence, id)
  list(thread, sequence, id)
  if keyed then
    redis.call('HSET', once, 'id', id, 'sequence', sequence)
    redis.call('EXPIRE', once, retention_seconds)
  end
  if person then
    if gate and by_agent then wait_at(mail, id) end
  else
    redis.call('ZADD', waiting, sequence, id)
    redis.call('EXPIRE', waiting, retention_seconds)
    redis.call('ZADD', mail_waiting, 'NX', now, name)
    close_gate(agent)
  end
  if terminal then note_word(sequence, id) end
  local f = redis.call('HMGET', mail, 'sender', 'type', 'priority')
  emit(events, 'mail.sent', now, id, cjson.encode({from = f[1], to = name, type = f[2], priority = f[3]}))
  return {'sent', id, sequence}
end

local answers = {}
for mail, agent, waiting, received, once, id, name, person in each() do
  answers[#answers + 1] = send(mail, agent, waiting, received, once, id, name, person == '1')
end
return answers
