-- Asks for a task of the schedule, unless it was asked for at this due time or a later one.
--
-- Atomic so that of all instances one asks, and so that it is remembered if and only if it was asked for.
--
-- KEYS  requests, due times of what was last asked for, by schedule
-- ARGV  the request, the schedule, its due time (Unix seconds)
-- Returns 1, or 0 where it was asked for before

local last = tonumber(redis.call('HGET', KEYS[2], ARGV[2]) or '')
if last and last >= tonumber(ARGV[3]) then return 0 end
redis.call('RPUSH', KEYS[1], ARGV[1])  -- first: it may be refused, and then it was not asked for
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
