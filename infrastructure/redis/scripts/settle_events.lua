-- Drops the events that were exported.
--
-- Atomic so that what waits, and what is counted of the events, is counted once, however many exporters settle, and in whatever order.
--
-- KEYS  events, their state, prefix of what is counted of them
-- ARGV  id of the last entry that was exported, seconds to keep counts, seconds to keep sessions, counts and sessions
--         (msgpack): {{hour = {name = number, …}, …}, {name = {session, …}, …}}
-- Returns how many events were dropped
-- Needs: ids

local events, state = KEYS[1], KEYS[2]
local call = redis.call
local settled = call('HGET', state, 'settled') or '0-0'
if padded(ARGV[1]) <= padded(settled) then return 0 end

local dropped = 0
repeat
  local page = call('XRANGE', events, '-', ARGV[1], 'COUNT', 100)
  local ids = {}
  for _, entry in ipairs(page) do
    ids[#ids + 1] = entry[1]
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'count' then dropped = dropped + (tonumber(entry[2][i + 1]) or 0) end
    end
  end
  if ids[1] then call('XDEL', events, unpack(ids)) end
until #page < 100
local counts, sessions = unpack(cmsgpack.unpack(ARGV[4]))
for hour, numbers in pairs(counts) do
  local key = KEYS[3] .. ':' .. hour
  for name, number in pairs(numbers) do
    if string.find(name, '|last$') then
      call('HSET', key, name, number)
    else
      call('HINCRBYFLOAT', key, name, number)
    end
  end
  call('EXPIRE', key, ARGV[2])
end
for name, ids in pairs(sessions) do
  for first = 1, #ids, 4000 do
    call('SADD', KEYS[3] .. ':' .. name, unpack(ids, first, math.min(first + 3999, #ids)))
  end
  call('EXPIRE', KEYS[3] .. ':' .. name, ARGV[3])
end
call('HSET', state, 'settled', ARGV[1])
if call('XLEN', events) == 0 then
  call('HSET', state, 'waiting', 0)
else
  call('HINCRBY', state, 'waiting', -dropped)
end
return dropped
