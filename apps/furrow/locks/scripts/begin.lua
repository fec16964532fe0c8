-- Begin a new epoch, unless somebody has begun one in this server's memory meanwhile.
--
-- KEYS    epoch
-- ARGV    number, reserved in the database; first ("1": no epoch was ever begun before)
-- Result  1: begun; 0: not needed; -1: the number is not above the last one
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local known = redis.call('HMGET', KEYS[1], 'number', 'run', 'since', 'counter', 'ticket', 'wiped')
local readable = string.match(known[1] or '', '^%d%d?%d?%d?%d?%d?%d?$') and known[6]
local number = readable and tonumber(known[1]) or 0
for i = 3, 6 do
  local most = (i == 4 or i == 5) and 12 or 14
  if not string.match(known[i] or '0', '^%d+$') or #(known[i] or '') > most then readable = false end
end
if known[2] == run and readable then return 0 end
if number >= tonumber(ARGV[1]) then return -1 end
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
local since = ARGV[2] == '1' and '0' or now
-- Rate limits ask when everything was lost. Data that was loaded from disk is taken for current.
local wiped = readable and known[6] or since
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'number', ARGV[1], 'run', run, 'since', since, 'wiped', wiped, 'counter', 0)
return 1
