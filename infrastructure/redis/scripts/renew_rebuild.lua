-- A rebuild of boards keeps what is noted for it for longer.
--
-- Atomic so that it never keeps what another rebuild, which has begun meanwhile, has noted.
--
-- KEYS  what is noted for a rebuild
-- ARGV  token of the rebuild, milliseconds to keep what is noted
-- Returns 1, or 0 where it is gone or another rebuild's

if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
