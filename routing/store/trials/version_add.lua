-- Store a version: the first of a template becomes champion, a later one is pending (and waits for a trial when
-- the template's policy says so). Content that a version has already is not stored again.
-- KEYS  template, versions, hashes, templates, champions, events
-- ARGV  name: of the template  mode: 'add' (the first version only) or 'propose' (later ones only)
--       hash: of the content  record: JSON without its opening brace, number, parent and time
--       data: of the event, as JSON  policy: for proposals, to be set, or ''
-- Returns {'added'|'same'|'exists', number}, or {'unknown', '0'} (a proposal for a template that nobody added)
-- @include prelude
local now = clock(time)
local latest = redis.call('HGET', template, 'latest')
local same = redis.call('HGET', hashes, hash)
if mode == 'propose' and not latest then return {'unknown', '0'} end
if same then return {'same', same} end
if mode == 'add' and latest then return {'exists', latest} end
-- Numbers grow by one and are never used again. The parent is the champion of this moment.
local number = string.format('%d', (tonumber(latest) or 0) + 1)
local parent = redis.call('HGET', template, 'champion') or 'null'
redis.call('HSET', versions, number, '{"number":' .. number .. ',"parent":' .. parent
  .. ',"created_at":' .. stamp(now) .. ',' .. record)
redis.call('HSET', hashes, hash, number)
redis.call('HSET', template, 'latest', number)
-- The first revision differs from those of a template that the store has lost: mailboxes may have kept its route.
redis.call('HSETNX', template, 'revision', string.format('%d', now * 1000000))
redis.call('HINCRBY', template, 'revision', 1)
local id = name .. '@v' .. number
if policy ~= '' then redis.call('HSET', template, 'policy', policy) end
if latest then
  redis.call('HSET', template, 'state:' .. number, 'pending')
  if redis.call('HGET', template, 'policy') == 'canary' then redis.call('HSET', template, 'waiting', number) end
  emit(events, 'candidate.awaiting_promotion', now, id, data)
else
  redis.call('SADD', templates, name)
  redis.call('HSET', template, 'state:' .. number, 'champion', 'champion', number)
  redis.call('HSET', champions, name, number)
  emit(events, 'template.added', now, id, data)
end
return {'added', number}
