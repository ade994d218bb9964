-- Housekeeping of a stream: removes consumers that are gone, and drops entries that nobody needs any more.
--
-- Atomic so that nothing can be delivered, acknowledged or joined in between.
--
-- KEYS  stream, what is noted for a rebuild of boards
-- ARGV  group, own consumer, milliseconds after which a consumer is gone, '1' to trim, groups that hold back nothing, …
-- Returns trimmed (entries), length (entries left), removed_consumers, by name
-- Needs: xinfo, trimming

local stream, rebuild, group, own, gone_after, trim = KEYS[1], KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'

local groups = groups_of(stream)

-- Before 7.2 a read that finds nothing does not count as a sign of life; one of the own pending entries behind the
-- last possible id does, and finds nothing either.
redis.pcall('XREADGROUP', 'GROUP', group, own, 'STREAMS', stream, '18446744073709551615-18446744073709551614')

-- A consumer that holds nothing can go. One that holds something stays until others have claimed all of it:
-- removing it would drop its pending entries for good.
local removed = 0
if groups[group] then
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local consumer = fields(flat)
    if consumer['pending'] == 0 and consumer['idle'] > gone_after and consumer['name'] ~= own then
      redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer['name'])
      removed = removed + 1
    end
  end
end

-- Entries that every group has been given and has acknowledged can go.
local done = done_by_all(stream, {unpack(ARGV, 5)})
local wanted = redis.call('HGET', rebuild, 'oldest')  -- a rebuild still has to look at what follows
if done and wanted and is_below(wanted, done) then done = wanted end
local trimmed = 0
if trim and done then trimmed = redis.call('XTRIM', stream, 'MINID', done) end
return {'trimmed', trimmed, 'length', redis.call('XLEN', stream), 'removed_consumers', removed}
