-- Replies of XINFO.

-- {name, value, …} as a table by name.
local function fields(flat)
  local map = {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end

-- What XINFO GROUPS says of each group of the stream, by the group's name. Empty where there is no such stream.
local function groups_of(stream)
  local groups = {}
  if redis.call('EXISTS', stream) == 1 then
    for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
      local group = fields(flat)
      groups[group['name']] = group
    end
  end
  return groups
end
