-- Takes or renews the lease of the one who runs commands.
--
-- Atomic so that two never hold it.
--
-- KEYS  lease, commands being run, version of the patterns
-- ARGV  who asks, milliseconds of the lease
-- Returns ours (1: the lease is theirs who ask), patterns (the version), left_behind (the first command that somebody
--         was running, or nil), by name

local patterns = redis.call('GET', KEYS[3]) or '0'
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {'ours', 0, 'patterns', patterns, 'left_behind', false} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'ours', 1, 'patterns', patterns, 'left_behind', redis.call('LINDEX', KEYS[2], 0)}
