-- What boards say of some users: of the first of them, so many that it reads no more scores than it may.
--
-- Atomic so that all scores and ranks are of one moment. A score takes some 1.4 µs, and seventy boards 0.3 ms beside.
--
-- KEYS  boards
-- ARGV  how many of the boards are to be ranked (the first ones), greatest number of scores, users (msgpack)
-- Returns {microseconds of that moment, of how many users (at least 1), for each board {its size (-1: not counted, as it
--         is not ranked), {the position of a user, score, …}, {the position of a user, rank, …}}, …}; users without a
--         score are left out

local ranked, most, users = tonumber(ARGV[1]), tonumber(ARGV[2]), cmsgpack.unpack(ARGV[3])
local clock = redis.call('TIME')
local exists, existing = {}, 0
for b, board in ipairs(KEYS) do
  exists[b] = redis.call('TYPE', board).ok == 'zset'
  if exists[b] then existing = existing + 1 end
end
local read = math.min(#users, math.max(1, math.floor(most / math.max(1, existing))))
local found = {string.format('%d%06d', clock[1], clock[2]), read}
for b, board in ipairs(KEYS) do
  local size, scores, ranks = -1, {}, {}
  if exists[b] then
    if b <= ranked then size = redis.call('ZCARD', board) end
    for i, score in ipairs(redis.call('ZMSCORE', board, unpack(users, 1, read))) do
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
