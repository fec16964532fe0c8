-- A rate limit (GCRA): reserve the next permitted time. Two numbers are kept: when the bucket is full again, and when that was
-- written (microseconds). A clock that was set back since then shows as a time of writing that lies ahead: the first number
-- moves back with it, as if no time had passed.
-- The algorithm: ITU-T I.371, the virtual scheduling form of the generic cell rate algorithm.
--
-- KEYS    rate, epoch
-- ARGV    interval between two at the full rate, burst x interval, longest wait (-1: any); all in microseconds
-- Result  {1, microseconds to wait, when it is permitted, number, strange}   reserved; strange: 1 when the key held no such number
--         {0, microseconds until it would be, strange}              refused: the wait is too long
--         {-1, number}                                              the epoch must be begun anew, above this number
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local known = redis.call('HMGET', KEYS[2], 'number', 'run', 'wiped')
local number = string.match(known[1] or '', '^%d%d?%d?%d?%d?%d?%d?$')
if known[2] ~= run or not number or not string.match(known[3] or '', '^%d+$') or #known[3] > 14 then
  return { -1, number or '0' }
end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval, tolerance, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

-- After this server lost everything, what was permitted before is unknown: the bucket is taken to have been empty then.
local kept = redis.pcall('GET', KEYS[1]) or '0'
local at, written
if type(kept) == 'string' then at, written = string.match(kept, '^(%d+%.?%d*) ?(%d*)$') end
local full = tonumber(at)
if full then full = full - math.max(0, (tonumber(written) or 0) - now) end
local strange = not full or full > now + tolerance + 4e13  -- more than a year ahead
if strange then full = now + tolerance end  -- as if the bucket were empty
if known[3] ~= '0' then full = math.max(full, math.min(known[3] * 1000, now) + tolerance) end
full = math.max(full, now) + interval
local wait = math.max(0, full - tolerance - now)
if longest >= 0 and wait > longest then
  -- What is no number is replaced here too: else whoever does not wait would find the bucket empty again and again.
  if strange then
    redis.call('SET', KEYS[1], string.format('%.3f %.0f', full - interval, now), 'PX', math.ceil((full - now) / 1000) + 1000)
  end
  return { 0, math.ceil(wait), strange and 1 or 0 }
end
redis.call('SET', KEYS[1], string.format('%.3f %.0f', full, now), 'PX', math.ceil((full - now) / 1000) + 1000)
return { 1, math.ceil(wait), string.format('%.0f', now + wait), known[1], strange and 1 or 0 }
