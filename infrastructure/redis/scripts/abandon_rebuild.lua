-- A rebuild of boards is given up: nothing is noted for it any more.
--
-- Atomic so that it never deletes what another rebuild, which has begun meanwhile, has noted.
--
-- KEYS  what is noted for a rebuild
-- ARGV  token of the rebuild
-- Returns 1, or 0 where it is gone or another rebuild's

if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[1] .. ':' .. ARGV[1] .. ':logs')
return 1
