-- Books what a request to the LLM has cost in place of what was reserved for it.
--
-- Atomic so that the sum and the user's part of it never differ. Keys that are gone, after FLUSHALL for example, are not
-- made anew: they would begin below zero.
--
-- KEYS  tokens of the day, tokens of the day by user (HASH)
-- ARGV  tokens that were charged, less those that were reserved; the digest of the user
-- Returns nothing

if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('INCRBY', KEYS[1], ARGV[1]) end
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then redis.call('HINCRBY', KEYS[2], ARGV[2], ARGV[1]) end
