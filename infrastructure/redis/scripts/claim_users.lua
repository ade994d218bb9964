-- Claims users for a board: each user belongs to the board that came first, however often a board comes.
--
-- Atomic so that no two boards have a user.
--
-- KEYS  the board of each user
-- ARGV  board, seconds to remember, users (msgpack)
-- Returns the users that belong to the board

local users, found, new = cmsgpack.unpack(ARGV[3]), {}, {}
for i, board in ipairs(redis.call('HMGET', KEYS[1], unpack(users))) do
  if not board then
    new[#new + 1] = users[i]
    new[#new + 1] = ARGV[1]
  end
  if not board or board == ARGV[1] then found[#found + 1] = users[i] end
end
if new[1] then redis.call('HSET', KEYS[1], unpack(new)) end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return found
