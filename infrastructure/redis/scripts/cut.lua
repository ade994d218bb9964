-- A rebuild of boards begins, on one stream: from here on commits note what they add, and records stay where they are.
--
-- KEYS  stream, what is noted for a rebuild, deferred messages
-- ARGV  group, token of the rebuild, milliseconds to keep what is noted
-- Returns {last-delivered id, id of the last record of a deferred message, {pending id, …}}

local stream, rebuild, deferred = unpack(KEYS)
local group, token, keep = unpack(ARGV)
local call = redis.call

local delivered, pending = '0-0', {}
for _, info in ipairs(call('EXISTS', stream) == 1 and call('XINFO', 'GROUPS', stream) or {}) do
  local field = {}
  for i = 1, #info, 2 do field[info[i]] = info[i + 1] end
  if field['name'] == group then delivered = field['last-delivered-id'] end
end
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
return {delivered, record and record[1] or '0-0', pending}
