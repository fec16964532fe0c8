-- Give a slot back, or leave the line; and offer what is free to those in line.
--
-- KEYS    state, line, epoch, index
-- ARGV    holder ("": whoever has the token); token ("": whatever the holder has); label; offer, lease (milliseconds)
-- Result  1: it was held; 0: it was not
local state, line, holder, token = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local slots, count, _, limit = slots_of(state)
local released = 0
if holder ~= '' and token == '' then redis.call('ZREM', line, holder) end
for slot, held in pairs(slots) do
  if (holder == '' or held.holder == holder) and (token == '' or held.token == token) then
    redis.call('HDEL', state, slot)
    slots[slot] = nil
    count, released = count - 1, 1
    break
  end
end
if redis.call('EXISTS', line) == 1 then
  local epoch = epoch_of(KEYS[3])
  if epoch and (epoch.since == 0 or epoch.since + tonumber(ARGV[5]) <= now) then
    count = serve(state, line, epoch, slots, count, limit, tonumber(ARGV[4]), '')
  end
end
if count == 0 and redis.call('EXISTS', line) == 0 then
  redis.call('DEL', state)
  redis.call('SREM', KEYS[4], ARGV[3])
end
return released
