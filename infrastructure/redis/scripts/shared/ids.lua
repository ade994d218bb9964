-- Ids of stream entries.

-- The id as text of one length, so that texts sort as ids do: a number of Lua cannot hold all 64 bits.
local function padded(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return string.rep('0', 20 - #ms) .. ms .. '-' .. string.rep('0', 20 - #seq) .. seq
end
