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

-- Of which sessions, by their names, a message is deferred or being deferred: 1 or 0 for each.
local function deferred_among(deferred, names)
  if not names[1] then return {} end
  local marks = {}
  for i, name in ipairs(names) do marks[i] = deferred .. ':' .. name end
  local counts, any_mark = redis.call('HMGET', deferred, unpack(names)), redis.call('EXISTS', unpack(marks)) > 0
  local found = {}
  for i, mark in ipairs(marks) do
    found[i] = (counts[i] or any_mark and redis.call('EXISTS', mark) == 1) and 1 or 0
  end
  return found
end
