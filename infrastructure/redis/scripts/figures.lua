-- What is to be seen of a stream and its bookkeeping; changes nothing.
--
-- KEYS  stream, dead letters, failed scores, ends, deferred messages
-- ARGV  group, how many entries to count at the most
-- Returns {now in ms, entries, undelivered, '1' if that is exact, first undelivered id, pending, oldest pending id,
--          dead letters, failed scores, ends not announced, deferred, {{consumer, pending, idle ms}, …}};
--          ids are '' and sizes -1 where there are none

local stream, group, bound = KEYS[1], ARGV[1], tonumber(ARGV[2])

local function fields(flat)
  local map = {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end

local function size(command, key)
  local count = redis.pcall(command, key)  -- a key of the wrong type must not hide the others
  return type(count) == 'number' and count or -1
end

local clock = redis.call('TIME')
local now = string.format('%d%03d', clock[1], math.floor(clock[2] / 1000))
local entries, undelivered, exact, first, pending, oldest, consumers = 0, 0, '1', '', 0, '', {}

-- `lag` of XINFO is missing before 7.0 and wrong or unknown after XDEL and trimming: so the shorter side of the last
-- delivered entry is counted, and only where both are long does Redis' own figure, or an upper bound, have to do.
local function count_undelivered(info)
  local last = info['last-delivered-id']
  if last == fields(redis.call('XINFO', 'STREAM', stream))['last-generated-id'] then return end
  local waiting = redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', bound)
  undelivered, first = #waiting, waiting[1] and waiting[1][1] or ''
  if undelivered < bound then return end
  local delivered = #redis.call('XRANGE', stream, '-', last, 'COUNT', bound)
  if delivered < bound then
    undelivered = entries - delivered
  else
    exact, undelivered = '0', info['lag'] or math.max(bound, entries - pending)
  end
end

if redis.call('EXISTS', stream) == 1 then
  entries = redis.call('XLEN', stream)
  local found = {['last-delivered-id'] = '0-0'}
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local info = fields(flat)
    if info['name'] == group then found = info end
  end
  if found['name'] then
    local summary = redis.call('XPENDING', stream, group)
    pending, oldest = summary[1], summary[2] or ''
    for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
      local consumer = fields(flat)
      table.insert(consumers, {consumer['name'], consumer['pending'], consumer['idle']})
    end
  end
  count_undelivered(found)
end

return {
  now, entries, undelivered, exact, first, pending, oldest,
  size('XLEN', KEYS[2]), size('HLEN', KEYS[3]), size('ZCARD', KEYS[4]), size('XLEN', KEYS[5]), consumers,
}
