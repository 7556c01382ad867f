-- Shared by all scripts. Times are seconds since the epoch, the server's unless a test says otherwise.
local function clock(override)
  if override ~= '' then return tonumber(override) end
  local t = redis.call('TIME')
  return tonumber(t[1]) + tonumber(t[2]) / 1000000
end

local function stamp(seconds) return string.format('%.6f', seconds) end

-- One entry of the event stream, in the same step as the change that it reports. `data` is JSON text.
local function emit(stream, kind, at, subject, data)
  redis.call('XADD', stream, 'MAXLEN', '~', 100000, '*',
    'kind', kind, 'at', stamp(at), 'subject', subject, 'data', data)
end
