-- On a cluster: puts seconds that a board could not take when they were committed into the outbox once more.
--
-- Atomic so that they count once, however often it is asked for.
--
-- KEYS  failed scores, outbox
-- ARGV  board, user
-- Returns 1
-- Needs: NOTHING_SECONDS, scores

local board, user = ARGV[1], ARGV[2]
local name = score_name(board, user)
local kept = redis.call('HGET', KEYS[1], name)
if not kept then return 1 end
if math.abs(tonumber(kept)) >= NOTHING_SECONDS then  -- else what was raised has been moved away since
  local boards = {[board] = {[user] = tonumber(kept)}}
  redis.call('XADD', KEYS[2], '*', 'commit', cmsgpack.pack({boards = boards, events = {}}))
end
redis.call('HDEL', KEYS[1], name)
return 1
