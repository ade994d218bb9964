-- Says that jobs are still being done.
--
-- Atomic so that none is taken from another worker that has claimed it meanwhile.
--
-- KEYS  stream
-- ARGV  group, worker, id, …
-- Returns how many of them the worker still holds
-- Needs: jobs

local kept = 0
for i = 3, #ARGV do
  if in_hand(KEYS[1], ARGV[1], ARGV[i], ARGV[2]) then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
    kept = kept + 1
  end
end
return kept
