-- A rebuild of boards ends: the new boards, with what was committed meanwhile, take the place of the old ones.
--
-- Atomic so that no commit adds to an old board after its sum was taken. All that may fail comes before the first
-- board is touched.
--
-- KEYS  what each stream noted for the rebuild, then the failed scores of each stream, and where events are posted the
--       days whose postings have to be compared with the logs
-- ARGV  token of the rebuild, boards (msgpack): {{board, its new self, how many users that has}, …}; days of these
-- Returns how many boards there are now; -1: nothing was done, since the rebuild has been overtaken or has run out of
--         its time
-- Needs: scores

local call, streams = redis.call, math.floor(#KEYS / 2)
local stale = KEYS[2 * streams + 1]
local token, boards = ARGV[1], cmsgpack.unpack(ARGV[2])
local shadows = {}

for i = 1, streams do
  if call('HGET', KEYS[i], 'token') ~= token then return -1 end
end
for _, item in ipairs(boards) do
  local board, shadow, users = unpack(item)
  if call('ZCARD', shadow) ~= users then return -1 end
  shadows[board] = shadow
end
for i = 1, streams do
  local noted = call('HGETALL', KEYS[i])
  for j = 1, #noted, 2 do
    local board, user = split_score_name(noted[j])
    if board and shadows[board] then call('ZINCRBY', shadows[board], noted[j + 1], user) end
  end
end

if stale then call('SADD', stale, unpack(ARGV, 3)) end
local count = 0
for _, item in ipairs(boards) do
  local board, shadow = item[1], item[2]
  if call('EXISTS', shadow) == 1 then
    call('PERSIST', shadow)
    call('RENAME', shadow, board)
    count = count + 1
  else
    call('DEL', board)
  end
end
for i = streams + 1, 2 * streams do  -- what a board could not take is in its new self
  for _, name in ipairs(call('HKEYS', KEYS[i])) do
    if shadows[split_score_name(name) or ''] then call('HDEL', KEYS[i], name) end
  end
end
for i = 1, streams do call('DEL', KEYS[i], KEYS[i] .. ':' .. token .. ':logs') end
return count
