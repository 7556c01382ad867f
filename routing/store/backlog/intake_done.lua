-- An issue was looked at. When the forge has told of it again meanwhile, it waits for another look.
-- KEYS  1 intake  2 intake_notes
-- ARGV  1 now  2 issue  3 the note as it was when the issue was taken
-- Returns 1 when nothing more waits, else 0
-- @include prelude
local issue = ARGV[2]
if (redis.call('HGET', KEYS[2], issue) or ARGV[3]) ~= ARGV[3] then
  redis.call('ZADD', KEYS[1], clock(ARGV[1]), issue)
  return 0
end
redis.call('ZREM', KEYS[1], issue)
redis.call('HDEL', KEYS[2], issue)
return 1
