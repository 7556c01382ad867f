-- Shared by the scripts that begin and end a job's wait for an account. What it has waited is summed up in
-- `held_seconds`, by which its deadline is put off. A worker of a release that knows of no accounts claims jobs and
-- leaves `held_at`: so a wait that began before the last claim ended with that.
local function end_wait(job, held_at, claimed_at, now)
  if not held_at then return end
  local claimed = tonumber(claimed_at or 0) or 0
  local over = claimed > tonumber(held_at) and claimed or now
  redis.call('HINCRBYFLOAT', job, 'held_seconds', stamp(over - tonumber(held_at)))
  redis.call('HDEL', job, 'held_at')
end

-- One that goes on is not begun anew.
local function begin_wait(job, held_at, claimed_at, now)
  if held_at and (tonumber(claimed_at or 0) or 0) > tonumber(held_at) then end_wait(job, held_at, claimed_at, now) end
  redis.call('HSETNX', job, 'held_at', stamp(now))
end
