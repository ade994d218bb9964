-- Hands jobs out to a worker: first those that have been idle for too long, then new ones.
--
-- Atomic so that a job is handed out together with how often it has failed.
--
-- KEYS  stream, failed tries by id
-- ARGV  group, worker, greatest number of jobs, idle milliseconds of an abandoned job, where to look for these from
-- Returns {where to look next, {id, {field, value, …}, failed tries, deliveries}, …}
-- Needs: failures, jobs

local stream, tries, group, worker, limit = KEYS[1], KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3])

local claimed = redis.pcall('XAUTOCLAIM', stream, group, worker, ARGV[4], ARGV[5], 'COUNT', limit)
if failure(claimed) then
  if not string.find(claimed.err, 'NOGROUP') then return claimed end
  redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
  claimed = {'0-0', {}}
end

local found = {claimed[1]}
local function hand_out(entry, deliveries)
  found[#found + 1] = {entry[1], entry[2], tonumber(redis.call('HGET', tries, entry[1]) or 0), deliveries}
end

for _, entry in ipairs(claimed[2]) do
  if entry and entry[2] then  -- before 7.0 a deleted entry is nothing, or has nothing in it
    local held = in_hand(stream, group, entry[1])
    hand_out(entry, held and held[4] or 1)
  end
end
if #found <= limit then
  local fresh = redis.call('XREADGROUP', 'GROUP', group, worker, 'COUNT', limit + 1 - #found, 'STREAMS', stream, '>')
  for _, entry in ipairs(fresh and fresh[1][2] or {}) do hand_out(entry, 1) end
end
if not found[2] then  -- to Redis, who gets nothing has not come; a read behind the end is one by somebody who is there
  redis.call('XREADGROUP', 'GROUP', group, worker, 'STREAMS', stream, '18446744073709551615-0')
end
return found
