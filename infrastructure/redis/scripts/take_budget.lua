-- Takes one request to the LLM out of what all instances may send, if there is one left.
--
-- Atomic so that instances that ask at the same time never take more than there is.
--
-- KEYS  calls of this minute, tokens of this day
-- ARGV  the most of each; 0: no limit
-- Returns 0 where it was taken, 1 where there are no more calls, 2 where there are no more tokens

local calls_max, tokens_max = tonumber(ARGV[1]), tonumber(ARGV[2])
if tokens_max > 0 and tonumber(redis.call('GET', KEYS[2]) or 0) >= tokens_max then return 2 end
if calls_max > 0 and tonumber(redis.call('GET', KEYS[1]) or 0) >= calls_max then return 1 end
redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], 120)
return 0
