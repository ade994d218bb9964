-- What is to be seen of a stream and its bookkeeping; changes nothing.
--
-- Atomic so that all figures are of one moment.
--
-- KEYS  stream, dead letters, failed scores, ends, deferred messages
-- ARGV  group, how many entries to count at the most, groups that hold back no trimming, …
-- Returns now (ms), entries, undelivered, exact (1 if that is), first_undelivered (id), pending, oldest_pending (id),
--         dead_letters, failed_scores, ends (not announced), deferred, consumers ({{consumer, pending, idle ms}, …}),
--         holding_back ({{group, the oldest id that it still needs}, …}, of other groups), by name; ids are '' and sizes -1 where there are none
-- Needs: xinfo, trimming

local stream, group, bound = KEYS[1], ARGV[1], tonumber(ARGV[2])

local function size(command, key)
  local count = redis.pcall(command, key)  -- a key of the wrong type must not hide the others
  return type(count) == 'number' and count or -1
end

local clock = redis.call('TIME')
local now = string.format('%d%03d', clock[1], math.floor(clock[2] / 1000))
local entries, undelivered, exact, first, pending, oldest, consumers = 0, 0, 1, '', 0, '', {}
local holding_back = {}

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
    exact, undelivered = 0, info['lag'] or math.max(bound, entries - pending)
  end
end

if redis.call('EXISTS', stream) == 1 then
  entries = redis.call('XLEN', stream)
  local found = groups_of(stream)[group]
  if found then
    local summary = redis.call('XPENDING', stream, group)
    pending, oldest = summary[1], summary[2] or ''
    for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
      local consumer = fields(flat)
      table.insert(consumers, {consumer['name'], consumer['pending'], consumer['idle']})
    end
    -- what this group is done with, and another one not yet
    local ours = done_by(stream, found)
    local _, groups = done_by_all(stream, {group, unpack(ARGV, 3)})
    for name, other in pairs(groups) do
      local theirs = done_by(stream, other)
      local needed = is_below(theirs, ours) and redis.call('XRANGE', stream, theirs, ours, 'COUNT', 1)[1]
      if needed then table.insert(holding_back, {name, needed[1]}) end
    end
  end
  count_undelivered(found or {['last-delivered-id'] = '0-0'})
end

return {
  'now', now, 'entries', entries, 'undelivered', undelivered, 'exact', exact, 'first_undelivered', first,
  'pending', pending, 'oldest_pending', oldest,
  'dead_letters', size('XLEN', KEYS[2]), 'failed_scores', size('HLEN', KEYS[3]), 'ends', size('ZCARD', KEYS[4]),
  'deferred', size('XLEN', KEYS[5]), 'consumers', consumers, 'holding_back', holding_back,
}
