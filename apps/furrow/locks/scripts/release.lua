-- Give a slot back, or leave the line; and give what is free to those in line.
--
-- KEYS    state, line, epoch, index
-- ARGV    holder ("": whoever has the token); token ("": whatever the holder has); label; lease (milliseconds)
-- Result  1: it was held; 0: it was not
local state, line, holder, token, lease = KEYS[1], KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[4])
local slots, count, _, limit = slots_of(state)
local released
if holder ~= '' and token == '' then redis.call('ZREM', line, holder) end
for slot, held in pairs(slots) do
  if (holder == '' or held.holder == holder) and (token == '' or held.token == token) then
    released = slot
    slots[slot] = nil
    count = count - 1
    break
  end
end
local waiting = redis.call('EXISTS', line) == 1
if released and (count > 0 or waiting) then redis.call('HDEL', state, released) end
if waiting then
  local epoch = epoch_of(KEYS[3])
  if epoch and (epoch.since == 0 or epoch.since + lease <= now) then
    count = serve(state, line, epoch, slots, count, limit, lease, '')
    waiting = count > 0 or redis.call('EXISTS', line) == 1
  end
end
if count == 0 and not waiting then
  redis.call('DEL', state)
  redis.call('SREM', KEYS[4], ARGV[3])
end
return released and 1 or 0
