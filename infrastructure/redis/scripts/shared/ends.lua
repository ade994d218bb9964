-- Noted ends of sessions: members of a ZSET whose scores are all 0, so that they are in the order of the stream.
-- Needs: ids

local function noted_end(id, user, date, session)
  return padded(id) .. '|' .. cmsgpack.pack({user, date, session})
end

-- id, {user, date, session}; nil for a member that is not the pipeline's
local function read_end(member)
  local ms, seq = string.match(member, '^0*(%d+)%-0*(%d+)|')
  local done, session = pcall(cmsgpack.unpack, string.sub(member, 43))
  if not ms or not done or type(session) ~= 'table' or #session ~= 3 then return nil end
  return ms .. '-' .. seq, session
end

-- How a session is named where sessions are remembered.
local function session_name(session)
  return session[1] .. '\n' .. session[2] .. '\n' .. session[3]
end
