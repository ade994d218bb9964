-- Drops the events that every group of their stream has been given and has acknowledged.
--
-- Atomic so that no group can join or be given an event in between.
--
-- KEYS  session score stream
-- ARGV  how many events to keep at the most where nobody has a group yet, groups that hold back nothing, …
-- Returns how many were dropped
-- Needs: trimming

local stream = KEYS[1]
if redis.call('TYPE', stream).ok ~= 'stream' then return 0 end
local done = done_by_all(stream, {unpack(ARGV, 2)})
if done then return redis.call('XTRIM', stream, 'MINID', done) end
return redis.call('XTRIM', stream, 'MAXLEN', '~', ARGV[1])
