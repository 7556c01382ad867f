-- An issue was looked at. If a delivery named it again meanwhile, it waits for another look.
-- KEYS  intake, intake_notes
-- ARGV  issue  note: as it was when the issue was taken
-- Returns 1 when nothing more waits, else 0
-- @include prelude
if (redis.call('HGET', intake_notes, issue) or note) ~= note then
  redis.call('ZADD', intake, clock(time), issue)
  return 0
end
redis.call('ZREM', intake, issue)
redis.call('HDEL', intake_notes, issue)
return 1
