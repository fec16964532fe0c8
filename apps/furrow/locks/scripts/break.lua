-- Break a lock: its lease is not renewed any more. It is free when the holder has noticed, at the lease's end at the latest.
--
-- KEYS    state
-- ARGV    token
-- Result  1: broken; 0: nobody holds it under this token
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local ends, token, since, holder = string.match(fields[i + 1], '^(%d+) (%d+) (%d+) %S+ (.*)$')
  if token == ARGV[1] then
    redis.call('HSET', KEYS[1], fields[i], ends .. ' ' .. token .. ' ' .. since .. ' broken ' .. holder)
    return 1
  end
end
return 0
