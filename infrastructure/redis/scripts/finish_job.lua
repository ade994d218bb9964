-- Ends a job, and perhaps with it its run; a job that can never work becomes a dead letter.
--
-- Atomic so that a job ends once, however often it is told, and that the last job of a run adds the one that closes it.
-- What a full Redis may refuse, the two XADDs, comes first: then nothing has ended.
--
-- KEYS  stream, jobs by key, failed tries by id, dead letters, members of the run (or the stream again: no run)
-- ARGV  group, id ('': a hold is released), key, the run or '', greatest number of dead letters, then its fields, …
-- Returns 1, or 0 where it had ended before
-- Needs: jobs

local stream, keys, tries, dead_letters, members = unpack(KEYS)
local group, id, key, run, most = unpack(ARGV)

if id ~= '' and not in_hand(stream, group, id) then return 0 end
local is_member = run ~= '' and redis.call('SMISMEMBER', members, key)[1] == 1
if is_member and redis.call('SCARD', members) == 1 then
  redis.call('XADD', stream, '*', 'key', run, 'run', run, 'data', '{}', 'closes', '1')
end
if ARGV[6] then redis.call('XADD', dead_letters, 'MAXLEN', '~', most, '*', unpack(ARGV, 6)) end
if is_member then redis.call('SREM', members, key) end
if id == '' then return is_member and 1 or 0 end
redis.call('XACK', stream, group, id)
redis.call('HDEL', tries, id)
if redis.call('HGET', keys, key) == id then redis.call('HDEL', keys, key) end
return 1
