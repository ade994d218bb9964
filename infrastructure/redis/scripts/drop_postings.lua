-- Drops entries of events that were not exported, because of a user in them. Their days are to be compared with the
-- usage logs, so that the postings of others come again.
--
-- Atomic so that a dropped entry is counted once, and no day is forgotten.
--
-- KEYS  events, their state, days to compare
-- ARGV  entries (msgpack): {{id, {day, …}}, …}
-- Returns how many entries were dropped

local events, state, stale = unpack(KEYS)
local call = redis.call
local dropped = 0
for _, entry in ipairs(cmsgpack.unpack(ARGV[1])) do
  local id, days = entry[1], entry[2]
  local count = 0
  for _, found in ipairs(call('XRANGE', events, id, id)) do
    for i = 1, #found[2], 2 do
      if found[2][i] == 'count' then count = tonumber(found[2][i + 1]) or 0 end
    end
  end
  if call('XDEL', events, id) == 1 then
    dropped = dropped + 1
    call('HINCRBY', state, 'waiting', -count)
    if days[1] then call('SADD', stale, unpack(days)) end
  end
end
return dropped
