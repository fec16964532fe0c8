-- Put before every script that moves a lock. Times are milliseconds on this server's clock.
--
-- state  hash   slot -> "end token since flag holder"; "limit" -> how many slots there are (a lock has one, slot 0).
--               flag: "-", or "broken": it may not be renewed. holder: "owner/waiter.number".
-- line   zset   who waits: holder -> ticket
-- epoch  hash   number, run (the server's run_id), since, wiped, counter, ticket. A token is the number followed by the counter, so
--               tokens grow as long as the number does: it comes from the database, anew whenever this server's memory began anew.
-- index  set    labels of the locks that are in use
--
-- Somebody else may have written there. An epoch that cannot be read counts as none; a slot that cannot be read is nobody's to
-- take, and `acquire` fails: who holds it is unknown. Of keys of another type the caller looks after (strange.py).
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local prefix = string.sub(KEYS[3], 1, -6)  -- of every key: "epoch" cut off

-- The epoch in force, or nil and the last known number when this server's memory is not the one it was begun in.
local function epoch_of(key)
  local server = redis.call('INFO', 'server')
  local _, before = string.find(server, 'run_id:', 1, true)  -- plain: a pattern takes longer than INFO itself
  local run = string.sub(server, before + 1, before + 40)
  local known = redis.call('HMGET', key, 'number', 'run', 'since', 'counter', 'ticket')
  local number = string.match(known[1] or '', '^%d%d?%d?%d?%d?%d?%d?$')
  if known[2] ~= run or not number then return nil, number or '0' end
  for i = 3, 5 do
    if not string.match(known[i] or '0', '^%d+$') or #(known[i] or '') > (i == 3 and 14 or 12) then return nil, number end
  end
  return { key = key, number = number, since = tonumber(known[3] or 0) }
end

-- What is held: slot -> {ends, token, since, flag, holder}, how many, the first end, the limit, and whether there is something
-- that cannot be read. Forgets what has expired.
local function slots_of(state)
  local slots, count, first, limit, unreadable = {}, 0, nil, 1, false
  local fields = redis.call('HGETALL', state)
  for i = 1, #fields, 2 do
    if fields[i] == 'limit' then
      limit = tonumber(string.match(fields[i + 1], '^%d%d?%d?%d?$') or 1)
    else
      local ends, token, since, flag, holder = string.match(fields[i + 1], '^(%d+) (%d+) (%d+) (%S+) (.*)$')
      ends = tonumber(ends)
      if not ends or ends > now + 86400000 or not string.match(fields[i], '^%d+$') then
        unreadable = true
      elseif ends <= now then
        redis.call('HDEL', state, fields[i])
      else
        slots[fields[i]] = { ends = ends, token = token, since = since, flag = flag, holder = holder }
        count = count + 1
        if not first or ends < first then first = ends end
      end
    end
  end
  return slots, count, first, limit, unreadable
end

local function write(state, slot, held)
  redis.call('HSET', state, slot, string.format('%.0f', held.ends) .. ' ' .. held.token .. ' ' .. held.since .. ' ' .. held.flag .. ' ' .. held.holder)
  redis.call('PEXPIRE', state, string.format('%.0f', held.ends - now + 60000))
end

-- A free slot, and what is to be written there for this holder, under the next token.
local function next_slot(epoch, slots, holder, lease)
  local slot = 0
  while slots[tostring(slot)] do slot = slot + 1 end
  local counter = redis.call('HINCRBY', epoch.key, 'counter', 1)
  local token = epoch.number .. string.format('%012d', counter)
  return tostring(slot), { ends = now + lease, token = token, since = string.format('%.0f', now), flag = '-', holder = holder }
end

-- Gives what is free to those in line, in order, up to the holder `until_whom` (who runs this script). Each is told: the number
-- in its name, token, slot, now. Those whose connection is gone are dead, and leave the line.
local function serve(state, line, epoch, slots, count, limit, lease, until_whom)
  while count < limit do
    local first = redis.call('ZRANGE', line, 0, 0)[1]
    if not first or first == until_whom then break end
    redis.call('ZREM', line, first)
    local slot, held = next_slot(epoch, slots, first, lease)
    local waiter, number = string.match(first, '/([^/.]+)%.(%d+)$')
    if waiter and redis.call('PUBLISH', prefix .. 'wake:' .. waiter, number .. ' ' .. held.token .. ' ' .. slot .. ' ' .. held.since) > 0 then
      slots[slot] = held
      write(state, slot, held)
      count = count + 1
    end
  end
  return count
end
