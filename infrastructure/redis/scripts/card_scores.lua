-- What boards say of some users.
--
-- Atomic so that all scores and ranks are of one moment. A score takes some 1.4 µs, and seventy boards 0.3 ms beside.
--
-- KEYS  boards
-- ARGV  how many of the boards are to be ranked (the first ones), users (msgpack)
-- Returns {microseconds of that moment, for each board {its size (-1: not counted, as it is not ranked), {the position
--         of a user, score, …}, {the position of a user, rank, …}}, …}; users without a score are left out

local ranked, users = tonumber(ARGV[1]), cmsgpack.unpack(ARGV[2])
local clock = redis.call('TIME')
local found = {string.format('%d%06d', clock[1], clock[2])}
for b, board in ipairs(KEYS) do
  local size, scores, ranks = -1, {}, {}
  if redis.call('TYPE', board).ok == 'zset' then
    if b <= ranked then size = redis.call('ZCARD', board) end
    for i, score in ipairs(redis.call('ZMSCORE', board, unpack(users))) do
      if score then
        scores[#scores + 1] = i
        scores[#scores + 1] = score
        if b <= ranked then
          ranks[#ranks + 1] = i
          ranks[#ranks + 1] = redis.call('ZREVRANK', board, users[i]) + 1
        end
      end
    end
  else
    size = 0
  end
  found[#found + 1] = {size, scores, ranks}
end
return found
