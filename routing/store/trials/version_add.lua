-- Store a version: the first of a template becomes champion, a later one is pending (and waits for a trial when
-- the template's policy says so).
-- KEYS  1 template  2 versions  3 hashes  4 templates  5 champions  6 events
-- ARGV  1 now  2 name  3 mode ('add' first version only, 'propose' later ones only)
--       4 content hash  5 the record's JSON without its opening brace, number, parent and time  6 event data
--       7 proposal policy to set, or ''
-- Returns {'added'|'same'|'exists'|'unknown', number}
-- @include prelude
local template, versions, hashes, templates, champions, events = unpack(KEYS)
local now, name, mode, hash = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local latest = redis.call('HGET', template, 'latest')
local same = redis.call('HGET', hashes, hash)
if mode == 'propose' and not latest then return {'unknown', '0'} end
if same then return {'same', same} end
if mode == 'add' and latest then return {'exists', latest} end
local number = string.format('%d', (tonumber(latest) or 0) + 1)
local parent = redis.call('HGET', template, 'champion') or 'null'
redis.call('HSET', versions, number, '{"number":' .. number .. ',"parent":' .. parent
  .. ',"created_at":' .. stamp(now) .. ',' .. ARGV[5])
redis.call('HSET', hashes, hash, number)
redis.call('HSET', template, 'latest', number)
redis.call('HINCRBY', template, 'revision', 1)
local id = name .. '@v' .. number
if ARGV[7] ~= '' then redis.call('HSET', template, 'policy', ARGV[7]) end
if latest then
  redis.call('HSET', template, 'state:' .. number, 'pending')
  if redis.call('HGET', template, 'policy') == 'canary' then redis.call('HSET', template, 'waiting', number) end
  emit(events, 'candidate.awaiting_promotion', now, id, ARGV[6])
else
  redis.call('SADD', templates, name)
  redis.call('HSET', template, 'state:' .. number, 'champion', 'champion', number)
  redis.call('HSET', champions, name, number)
  emit(events, 'template.added', now, id, ARGV[6])
end
return {'added', number}
