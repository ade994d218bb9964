-- Dead letters without the one field of theirs that may be large.
--
-- Atomic because it is one read.
--
-- KEYS  dead letters
-- ARGV  XRANGE or XREVRANGE, the id to begin with, the id to end with, how many at the most, the field to leave out
-- Returns {{id, {field, value, …}, size of what is left out (bytes)}, …}

local found = {}
for i, letter in ipairs(redis.call(ARGV[1], KEYS[1], ARGV[2], ARGV[3], 'COUNT', ARGV[4])) do
  local small, size = {}, 0
  for j = 1, #letter[2], 2 do
    local name, value = letter[2][j], letter[2][j + 1]
    if name == ARGV[5] then
      size = #value
      value = ''
    end
    if #name + #value <= 65536 then  -- what is longer is foreign
      small[#small + 1] = name
      small[#small + 1] = value
    end
  end
  found[i] = {letter[1], small, size}
end
return found
