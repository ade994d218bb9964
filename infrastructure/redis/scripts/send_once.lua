-- Sends a command unless it was sent before.
--
-- Atomic so that it is remembered as sent if and only if it is.
--
-- KEYS  commands, that this one was sent
-- ARGV  the command, seconds to remember it
-- Returns 1, or 0 where it was sent before

if not redis.call('SET', KEYS[2], 1, 'NX', 'EX', ARGV[2]) then return 0 end
redis.call('RPUSH', KEYS[1], ARGV[1])
return 1
