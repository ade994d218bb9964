-- A consumer leaves: what it holds can be claimed at once by others, and where it holds nothing it is removed.
--
-- Atomic so that nothing is delivered to it, and dropped with it, in between.
--
-- KEYS  stream
-- ARGV  group, consumer, idle milliseconds to give to what it holds
-- Returns how many entries it leaves pending

local stream, group, consumer, idle = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

local left, start = 0, '-'
while true do
  local page = redis.call('XPENDING', stream, group, start, '+', 1000, consumer)
  for _, entry in ipairs(page) do
    -- XCLAIM from itself: only the idle time changes; JUSTID leaves the delivery count alone
    redis.call('XCLAIM', stream, group, consumer, 0, entry[1], 'IDLE', idle, 'JUSTID')
    start = '(' .. entry[1]
  end
  left = left + #page
  if #page < 1000 then break end
end
if left == 0 then redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer) end
return left
