-- Counts users on sites that nobody knows.
--
-- Atomic so that a site's place among the others is that of its count, and that no count is left without its site.
--
-- KEYS  sites by users
-- ARGV  prefix of the counts, seconds to keep a count, greatest number of sites, then site, user, …
-- Returns nothing

local seen, prefix, remember, most = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
for i = 4, #ARGV, 2 do
  local users = prefix .. ARGV[i]
  if redis.call('PFADD', users, ARGV[i + 1]) == 1 then
    redis.call('EXPIRE', users, remember)
    redis.call('ZADD', seen, redis.call('PFCOUNT', users), ARGV[i])
  end
end
local over = redis.call('ZCARD', seen) - most
if over > 0 then
  for _, site in ipairs(redis.call('ZRANGE', seen, 0, over - 1)) do
    redis.call('DEL', prefix .. site)
    redis.call('ZREM', seen, site)
  end
end
