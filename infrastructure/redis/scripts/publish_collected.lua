-- Adds the spans of a collector to the stream, those that it does not have, and moves the collector's cursor.
--
-- Atomic so that a span is added once, however often the call is repeated: what lies before the cursor is there.
--
-- KEYS  stream, cursors of collectors, remembered ids (behind this name, those of a day)
-- ARGV  name of the collector's log, position behind the spans, days to remember ids, spans in msgpack: each its
--       position, its day (since 1970), the digest of its client's id ('' without one), and what it says, names and values in turn
-- Returns how many were added, and how many were not since their ids are remembered
-- Needs: permissions

local stream, cursors, prefix = unpack(KEYS)
local name, behind, days = ARGV[1], ARGV[2], tonumber(ARGV[3])
local call = redis.call

local function wrong(key, expected)
  local kind = call('TYPE', key).ok
  return kind ~= 'none' and kind ~= expected and 'WRONGTYPE ' .. key .. ' is a ' .. kind .. ', not a ' .. expected
end

local err = wrong(stream, 'stream') or wrong(cursors, 'hash') or refusal('XADD', stream)
if err then return redis.error_reply(err) end

local cursor = call('HGET', cursors, name) or ''
if behind <= cursor then return {0, 0} end
call('HSET', cursors, name, cursor)  -- changes nothing: may it be written?

local spans, dated = cmsgpack.unpack(ARGV[4]), {}
for _, span in ipairs(spans) do
  if span[3] ~= '' then dated[span[2]] = true end
end
for day in pairs(dated) do
  err = wrong(prefix .. day, 'set')
  if err then return redis.error_reply(err) end
  call('SADD', prefix .. day, '')  -- no digest: may ids be remembered?
  call('EXPIRE', prefix .. day, (days + 1) * 86400)
end

local function is_repeated(day, id)
  if id == '' then return false end
  for earlier = 1, days - 1 do
    if call('SMISMEMBER', prefix .. (day - earlier), id)[1] == 1 then return true end
  end
  return call('SADD', prefix .. day, id) == 0
end

local added, repeated = 0, 0
for _, span in ipairs(spans) do
  local position, day, id, flat = unpack(span)
  if position < cursor then
    -- it is there
  elseif is_repeated(day, id) then
    repeated = repeated + 1
  else
    call('XADD', stream, '*', unpack(flat))
    added = added + 1
  end
end
call('HSET', cursors, name, behind)
return {added, repeated}
