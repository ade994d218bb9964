-- Claims users for a board: each user belongs to the board that came first, and keeps its number there, however often a
-- board comes.
--
-- Atomic so that no two boards have a user, and no two users of a board a number.
--
-- KEYS  "number board" of each user, how many users each board has got
-- ARGV  board, seconds to remember, users (msgpack)
-- Returns {a user that belongs to the board, its number, …}

local board, users, found, new = ARGV[1], cmsgpack.unpack(ARGV[3]), {}, {}
local count = tonumber(redis.call('HGET', KEYS[2], board) or 0)
for i, claim in ipairs(redis.call('HMGET', KEYS[1], unpack(users))) do
  if not claim then
    claim = string.format('%d %s', count, board)
    count = count + 1
    new[#new + 1] = users[i]
    new[#new + 1] = claim
  end
  local number, owner = string.match(claim, '^(%d+) (.*)$')
  if owner == board then
    found[#found + 1] = users[i]
    found[#found + 1] = number
  end
end
if new[1] then
  redis.call('HSET', KEYS[1], unpack(new))
  redis.call('HSET', KEYS[2], board, count)
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return found
