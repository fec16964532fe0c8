-- Begin a new epoch, unless somebody has begun one in this server's memory meanwhile.
--
-- KEYS    epoch
-- ARGV    number, reserved in the database; first ("1": no epoch was ever begun before)
-- Result  1: begun; 0: not needed; -1: the number is not above the last one
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local known = redis.call('HMGET', KEYS[1], 'number', 'run')
if known[2] == run then return 0 end
if known[1] and tonumber(known[1]) >= tonumber(ARGV[1]) then return -1 end
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
local since = ARGV[2] == '1' and '0' or now
redis.call('HSET', KEYS[1], 'number', ARGV[1], 'run', run, 'since', since, 'counter', 0)
-- Rate limits ask when everything was lost. Data that was loaded from disk is taken for current.
if not known[1] then redis.call('HSET', KEYS[1], 'wiped', since) end
return 1
