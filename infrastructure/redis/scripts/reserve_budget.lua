-- Sets a request to the LLM, and the tokens that it may cost, aside out of what all instances may spend.
--
-- Atomic so that instances that ask at the same time never reserve more than there is.
--
-- KEYS  calls of this minute, tokens of this day, tokens of this day by user (HASH)
-- ARGV  the most of each; 0: no limit; then the tokens to reserve, and the digest of the user
-- Returns '' where it was reserved, else what is spent: 'tokens', 'user_share' or 'calls'; then nothing was changed

local calls_max, tokens_max, user_max = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local tokens, user = tonumber(ARGV[4]), ARGV[5]
if tokens_max > 0 then
  if tonumber(redis.call('GET', KEYS[2]) or 0) + tokens > tokens_max then return 'tokens' end
  if tonumber(redis.call('HGET', KEYS[3], user) or 0) + tokens > user_max then return 'user_share' end
end
if calls_max > 0 and tonumber(redis.call('GET', KEYS[1]) or 0) >= calls_max then return 'calls' end
redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], 120)
redis.call('INCRBY', KEYS[2], tokens)
redis.call('EXPIRE', KEYS[2], 172800)
if tokens_max > 0 then
  redis.call('HINCRBY', KEYS[3], user, tokens)
  redis.call('EXPIRE', KEYS[3], 172800)
end
return ''
