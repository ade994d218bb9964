-- Adds what a process has counted to the counters of the deployment. Of a name that begins with `peak:` each bucket
-- keeps the greatest value, and the totals have none.
--
-- Atomic so that a flush whose reply was lost counts once: its number is noted with it.
--
-- KEYS  number of the process's last flush, totals, buckets, …
-- ARGV  number of this flush, how long its number is kept (ms), time (Unix seconds), how many names, name, …, value, …,
--         how long each bucket is kept (ms), …
-- Returns 1, or 0 if this flush had counted

if tonumber(redis.call('GET', KEYS[1]) or 0) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])  -- first: from here on nothing may fail

local names = tonumber(ARGV[4])
for k = 2, #KEYS do
  for i = 5, 4 + names do  -- pcall: a key of the wrong type must not hinder
    local name, value = ARGV[i], ARGV[i + names]
    if name:sub(1, 5) ~= 'peak:' then
      if k == 2 then redis.pcall('HSETNX', KEYS[2], 'since', ARGV[3]) end
      redis.pcall('HINCRBYFLOAT', KEYS[k], name, value)
    elseif k > 2 and (tonumber(redis.pcall('HGET', KEYS[k], name)) or -1) < tonumber(value) then
      redis.pcall('HSET', KEYS[k], name, value)
    end
  end
  if k > 2 then redis.pcall('PEXPIRE', KEYS[k], ARGV[2 + 2 * names + k]) end
end
return 1
