-- Adds jobs to a work queue, except those whose keys are there.
--
-- Atomic so that of the jobs with one key there is one, however many add it at once.
--
-- KEYS  stream, jobs by key, members of the run (or the stream again: no run)
-- ARGV  the run or '', seconds to remember a run, then key, data (JSON), …
-- Returns how many were added

local stream, keys, members, run, remember = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2]
local added = 0
for i = 3, #ARGV, 2 do
  if redis.call('HEXISTS', keys, ARGV[i]) == 0 then
    local id = redis.call('XADD', stream, '*', 'key', ARGV[i], 'run', run, 'data', ARGV[i + 1])
    redis.call('HSET', keys, ARGV[i], id)
    if run ~= '' then redis.call('SADD', members, ARGV[i]) end
    added = added + 1
  end
end
if run ~= '' then redis.call('EXPIRE', members, remember) end
return added
