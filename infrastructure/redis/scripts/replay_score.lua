-- Raises a board by seconds that it could not take when they were committed.
--
-- Atomic so that they count once, however often it is asked for.
--
-- KEYS  failed scores, board
-- ARGV  user
-- Returns 1, or 0 where the board still cannot take them
-- Needs: NOTHING_SECONDS, scores

local name = score_name(KEYS[2], ARGV[1])
local kept = redis.call('HGET', KEYS[1], name)
if not kept then return 1 end
if math.abs(tonumber(kept)) >= NOTHING_SECONDS then  -- else what was raised has been moved away since
  local reply = redis.pcall('ZINCRBY', KEYS[2], kept, ARGV[1])
  if type(reply) == 'table' and reply.err then return 0 end
  if tonumber(kept) < 0 and math.abs(tonumber(reply)) < NOTHING_SECONDS then redis.call('ZREM', KEYS[2], ARGV[1]) end
end
redis.call('HDEL', KEYS[1], name)
return 1
