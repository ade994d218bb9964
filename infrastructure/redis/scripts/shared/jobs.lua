-- Jobs in hand.
-- Needs: failures

-- What XPENDING says of a job, if it is in hand (of `worker`, where one is given); nil where it is not, or where the
-- group is gone.
local function in_hand(stream, group, id, ...)
  local found = redis.pcall('XPENDING', stream, group, id, id, 1, ...)
  return not failure(found) and found[1] or nil
end
