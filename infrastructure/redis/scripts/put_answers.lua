-- Keeps answers of the LLM, and drops what has expired or is too much.
--
-- Atomic so that every answer has its expiry, and the other way round.
--
-- KEYS  answers, expiries
-- ARGV  now (Unix seconds), greatest number of answers, then digest, expiry (Unix seconds), category, …
-- Returns nothing

local function drop(digests)
  for _, digest in ipairs(digests) do
    redis.call('HDEL', KEYS[1], digest)
    redis.call('ZREM', KEYS[2], digest)
  end
end

for i = 3, #ARGV, 3 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ' ' .. ARGV[i + 2])
  redis.call('ZADD', KEYS[2], ARGV[i + 1], ARGV[i])
end
drop(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, 1000))
local over = redis.call('ZCARD', KEYS[2]) - ARGV[2]
if over > 0 then drop(redis.call('ZRANGE', KEYS[2], 0, over - 1)) end
