-- Claims users for a board: each user belongs to the board that came first, and has a number among that board's for good.
--
-- Atomic so that no two boards have a user, and no two users of a board a number.
--
-- KEYS  users, each with the first number of its board + its own, and the next such sum of each board
-- ARGV  board, seconds to remember, users (msgpack)
-- Returns how many users the board has

local OF_A_BOARD = 4294967296
local board, users, new = ARGV[1], cmsgpack.unpack(ARGV[3]), {}
local following = tonumber(redis.call('HGET', KEYS[2], board) or redis.call('HLEN', KEYS[2]) * OF_A_BOARD)
for i, claim in ipairs(redis.call('ZMSCORE', KEYS[1], unpack(users))) do
  if not claim then
    new[#new + 1] = string.format('%.0f', following)
    new[#new + 1] = users[i]
    following = following + 1
  end
end
if new[1] then
  redis.call('ZADD', KEYS[1], unpack(new))
  redis.call('HSET', KEYS[2], board, string.format('%.0f', following))
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return following % OF_A_BOARD
