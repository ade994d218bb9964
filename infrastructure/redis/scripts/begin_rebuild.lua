-- A rebuild of boards begins, on one stream: from here on commits note what they add, and records stay where they are.
--
-- Atomic so that every commit either is counted in what this returns or notes what it adds.
--
-- KEYS  stream, what is noted for a rebuild, deferred messages
-- ARGV  group, token of the rebuild, milliseconds to keep what is noted
-- Returns delivered (the last-delivered id), record (the id of the last record of a deferred message), pending
--         ({id, …}), by name
-- Needs: xinfo

local stream, rebuild, deferred = unpack(KEYS)
local group, token, keep = unpack(ARGV)
local call = redis.call

local known, pending = groups_of(stream)[group], {}
local delivered = known and known['last-delivered-id'] or '0-0'
if delivered ~= '0-0' then
  local start = '-'
  repeat
    local page = call('XPENDING', stream, group, start, '+', 1000)
    for _, entry in ipairs(page) do
      table.insert(pending, entry[1])
      start = '(' .. entry[1]
    end
  until #page < 1000
end
local record = call('XREVRANGE', deferred, '+', '-', 'COUNT', 1)[1]

call('DEL', rebuild)  -- of a rebuild that this one takes the place of
call('HSET', rebuild, 'token', token, 'oldest', pending[1] or delivered)
call('PEXPIRE', rebuild, keep)
return {'delivered', delivered, 'record', record and record[1] or '0-0', 'pending', pending}
