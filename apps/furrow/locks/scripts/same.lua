-- Is this still the epoch in force?
--
-- KEYS    epoch
-- ARGV    number
-- Result  1 or 0
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local known = redis.call('HMGET', KEYS[1], 'number', 'run')
return known[1] == ARGV[1] and known[2] == run and 1 or 0
