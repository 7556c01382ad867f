-- A forge refused our token, or took it again: note it, so that people hear of each once.
-- KEYS  token: of the forge  events
-- ARGV  forge  data: of the event, as JSON  retention_seconds: for which a refusal is remembered
-- FLAGS refused: else it was taken
-- Returns 1 when that is new, else 0
-- @include prelude
if refused then
  local is_known = redis.call('EXISTS', token) == 1
  redis.call('SET', token, '1', 'EX', retention_seconds)
  if is_known then return 0 end
  emit(events, 'forge.token_refused', clock(time), forge, data)
  return 1
end
if redis.call('DEL', token) == 0 then return 0 end
emit(events, 'forge.token_accepted', clock(time), forge, data)
return 1
