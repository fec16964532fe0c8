-- Renew many leases, each if it is still held under its token, has not ended and is not broken.
--
-- KEYS    the state of each
-- ARGV    lease (milliseconds); then slot, token of each
-- Result  for each: 1 renewed, 0 lost, -1 lost, since its state is no hash
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lease, results = tonumber(ARGV[1]), {}
for i, state in ipairs(KEYS) do
  local slot, wanted = ARGV[2 * i], ARGV[2 * i + 1]
  local found = redis.pcall('HGET', state, slot) or ''
  local strange = type(found) == 'table'
  local ends, token, rest = string.match(strange and '' or found, '^(%d+) (%d+) (%d+ %- .*)$')
  if token == wanted and tonumber(ends) > now then
    redis.call('HSET', state, slot, string.format('%.0f', now + lease) .. ' ' .. token .. ' ' .. rest)
    redis.call('PEXPIRE', state, lease + 60000)
    results[i] = 1
  else
    results[i] = strange and -1 or 0
  end
end
return results
