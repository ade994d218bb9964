-- How far a stream is done with.
-- Needs: ids, xinfo

local function is_below(a, b)
  return padded(a) < padded(b)
end

-- Below which id a group needs no entry any more: that of its oldest pending one, or its last-delivered id.
local function done_by(stream, group)
  local last = group['last-delivered-id']
  local pending = redis.call('XPENDING', stream, group['name'])
  return pending[1] > 0 and is_below(pending[2], last) and pending[2] or last
end

-- Below which id no group needs an entry any more, and the groups that were asked, by name. `ignored` is a list of
-- groups that do not count. nil where there is no group.
local function done_by_all(stream, ignored)
  local groups, done = groups_of(stream), nil
  for _, name in ipairs(ignored) do groups[name] = nil end
  for _, group in pairs(groups) do
    local id = done_by(stream, group)
    if not done or is_below(id, done) then done = id end
  end
  return done, groups
end
