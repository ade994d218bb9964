-- Messages are about to be written with an interim category: until they are committed, or the time is over, their
-- sessions are not announced.
--
-- Atomic because it is one step for all of them: a command each would hold the event loop for a tenth of a second.
--
-- KEYS  sessions of deferred messages (behind this name, with ':' and a session: those being deferred)
-- ARGV  seconds, messages (msgpack): {{session, id}, …}
-- Returns how many were marked

local marked = 0
for _, message in ipairs(cmsgpack.unpack(ARGV[2])) do
  local key = KEYS[1] .. ':' .. message[1]
  marked = marked + redis.call('SADD', key, message[2])
  redis.call('EXPIRE', key, ARGV[1])
end
return marked
