-- Counts a failed try of a job, which is abandoned again after its delay.
--
-- Atomic so that only a job that its worker still holds is counted.
--
-- KEYS  stream, failed tries by id
-- ARGV  group, worker, id, idle milliseconds to give to it
-- Returns its failed tries, or 0 where somebody else has it
-- Needs: jobs

local stream, tries, group, worker, id = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]
if not in_hand(stream, group, id, worker) then return 0 end
redis.call('XCLAIM', stream, group, worker, 0, id, 'IDLE', ARGV[4], 'JUSTID')
return redis.call('HINCRBY', tries, id, 1)
