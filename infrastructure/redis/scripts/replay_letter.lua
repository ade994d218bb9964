-- A dead letter's message goes back on its stream.
--
-- Atomic so that it goes back once, however often it is asked for, and is never in neither place.
--
-- KEYS  dead letters, stream
-- ARGV  id of the letter, field, value, …
-- Returns the id of the new entry, or nil where the letter is gone

if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then return false end
local id = redis.call('XADD', KEYS[2], '*', unpack(ARGV, 2))  -- first: it may fail, and then the letter stays
redis.call('XDEL', KEYS[1], ARGV[1])
return id
