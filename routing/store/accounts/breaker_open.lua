-- An account serves again: the model answered the job that tries it, or a person says so.
-- KEYS  breakers, events
-- ARGV  account  model  job: the probe, or '' for a person  by: who says so, or ''
-- Returns how many breakers were opened: that of the model, and the one of the whole account
-- @include prelude
-- @include breakers
local now, opened = clock(time), 0
for _, name in ipairs(model == '*' and {account .. '/*'} or {account .. '/' .. model, account .. '/*'}) do
  if job ~= '' then
    if open_as_probe(breakers, events, name, job, now) then opened = opened + 1 end
  else
    local b = breaker_of(breakers, name)
    if b and b.state ~= 'open' then
      open_now(breakers, events, name, b, now, by)
      opened = opened + 1
    end
  end
end
return opened
