-- Takes the next turn of a request to a site.
--
-- Atomic so that no two requests of all instances have the same turn.
--
-- KEYS  when the next turn is
-- ARGV  seconds between two turns
-- Returns the seconds until the turn that was taken, as text

local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local turn = math.max(now, tonumber(redis.call('GET', KEYS[1])) or 0)
redis.call('SET', KEYS[1], string.format('%.6f', turn + ARGV[1]), 'EX', 3600)
return string.format('%.6f', turn - now)
