-- Take a slot of a lock, or stand in line for one. Asking again under the same holder renews, and changes nothing else.
--
-- KEYS    state, line, epoch, index
-- ARGV    holder; lease (milliseconds); limit; ticket ("": do not stand in line, "0": with a new ticket, else the ticket from
--         before); label
-- Result  {1, token, slot}                                          held
--         {0, milliseconds until a look is worth it, ticket, now}   not held; in line if asked for
--         {-1, number}                                              the epoch must be begun anew, above this number
--         an error                                                  the state has something that cannot be read
local state, line = KEYS[1], KEYS[2]
local holder, lease, limit, ticket = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]

local epoch, number = epoch_of(KEYS[3])
if not epoch then return { -1, number } end
local slots, count, first, before, unreadable = slots_of(state)
if unreadable then return redis.error_reply('UNREADABLE') end
if before ~= limit then redis.call('HSET', state, 'limit', ARGV[3]) end

for slot, held in pairs(slots) do
  if held.holder == holder then
    if held.flag == '-' then
      held.ends = now + lease
      write(state, slot, held)
    end
    return { 1, held.token, slot }
  end
end

local has_place = ticket ~= '' and ticket ~= '0'
if has_place then redis.call('ZADD', line, 'NX', ticket, holder) end

-- After this server lost its memory, leases that it no longer knows of may last as long as a lease.
local grace = epoch.since > 0 and epoch.since + lease - now or 0
if grace <= 0 then
  count = serve(state, line, epoch, slots, count, limit, lease, holder)
  if count < limit then
    if has_place then redis.call('ZREM', line, holder) end
    local slot, held = next_slot(epoch, slots, holder, lease)
    write(state, slot, held)
    redis.call('SADD', KEYS[4], ARGV[5])
    return { 1, held.token, slot }
  end
end

if ticket ~= '' then
  if ticket == '0' then
    ticket = string.format('%.0f', epoch.number * 1e9 + redis.call('HINCRBY', epoch.key, 'ticket', 1))
    redis.call('ZADD', line, ticket, holder)
  end
  redis.call('PEXPIRE', line, lease * 10)
  redis.call('SADD', KEYS[4], ARGV[5])
end
redis.call('PEXPIRE', state, lease * 10)
return { 0, grace > 0 and grace or first and first - now or lease, ticket, now }
