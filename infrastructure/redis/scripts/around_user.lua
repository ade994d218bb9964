-- The rows of a board around a user.
--
-- Atomic so that the rank and the rows are of one moment.
--
-- KEYS  board
-- ARGV  user, how many rows on either side
-- Returns rank of the user (0: absent), first (the rank of the first row), rows ({user, score, …}), by name

local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
if not rank then return {'rank', 0, 'first', 0, 'rows', {}} end
local first = math.max(0, rank - ARGV[2])
local rows = redis.call('ZREVRANGE', KEYS[1], first, rank + ARGV[2], 'WITHSCORES')
return {'rank', rank + 1, 'first', first + 1, 'rows', rows}
