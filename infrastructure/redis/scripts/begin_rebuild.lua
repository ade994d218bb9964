-- A rebuild of boards begins, on one stream: from here on commits note what they add, and records stay where they are.
--
-- Atomic so that every commit either is counted in what this returns or notes what it adds.
--
-- KEYS  stream, what is noted for a rebuild, deferred messages, events, their state
-- ARGV  group, token of the rebuild, milliseconds to keep what is noted, '1' to give way to a rebuild that is under way
-- Returns delivered (the last-delivered id), record (the id of the last record of a deferred message), pending
--         ({id, …}), posted (the id of the last entry of the events), by name; nothing where it gives way
-- Needs: xinfo

local stream, rebuild, deferred, events, events_state = unpack(KEYS)
local group, token, keep, gives_way = unpack(ARGV)
local call = redis.call

if gives_way == '1' and call('EXISTS', rebuild) == 1 then return {} end

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
local posting = call('XREVRANGE', events, '+', '-', 'COUNT', 1)[1]

call('DEL', rebuild)  -- of a rebuild that this one takes the place of
call('HSET', rebuild, 'token', token, 'oldest', pending[1] or delivered)
call('PEXPIRE', rebuild, keep)
return {'delivered', delivered, 'record', record and record[1] or '0-0', 'pending', pending,
  'posted', posting and posting[1] or call('HGET', events_state, 'settled') or '0-0'}
