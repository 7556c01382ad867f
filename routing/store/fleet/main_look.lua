-- A look at the newest commit of a repository's main branch: note what CI said, so that people hear of a red one once.
-- KEYS  main_look: of the repository  events
-- ARGV  repository: as `forge:repo`  commit: that was looked at, '' when the forge did not answer
--       reason: why it is red, '' when it is not  keep_seconds: for which a verdict is remembered
-- FLAGS judged: CI has a verdict; without, what was known stays so, until it is forgotten
-- Returns why the main branch is red as far as is known, '' when it is not
-- @include prelude
local now, known = clock(time), redis.call('HGET', main_look, 'reason') or ''
redis.call('HSET', main_look, 'looked_at', string.format('%.6f', now), 'commit', commit)
if not judged then
  if redis.call('TTL', main_look) < 0 then redis.call('EXPIRE', main_look, keep_seconds) end
  return known
end
redis.call('HSET', main_look, 'reason', reason)
redis.call('EXPIRE', main_look, keep_seconds)
if reason ~= '' and known == '' then
  emit(events, 'main.red', now, repository, cjson.encode({reason = reason, commit = commit}))
elseif reason == '' and known ~= '' then
  emit(events, 'main.green', now, repository, cjson.encode({commit = commit}))
end
return reason
