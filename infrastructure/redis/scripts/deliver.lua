-- On a cluster: serves one board, or the session score stream, from the outbox of one activity stream.
--
-- Atomic so that an entry is applied if and only if the marker says so. The marker remembers the last outbox entry that was dealt with, in the slot of the target and in the same step, so
-- that an entry is applied once however often, and by however many instances, it is delivered. For that each delivery
-- must begin with the oldest entry of the outbox that concerns the target.
--
-- KEYS  target, its marker
-- ARGV  the outbox, seconds to keep the marker, deliveries (msgpack): {{id, what}, …} by id, where `what` is
--         {user = seconds, …} for a board, {{user, date, session}, …} for the session score stream; kind
-- Returns writes (how many were made), refused (ids of the entries that the board could not take, since its key is of
--         the wrong type), by name
-- Needs: NOTHING_SECONDS, ids

local target, marker = KEYS[1], KEYS[2]
local outbox, keep, deliveries, kind = ARGV[1], ARGV[2], cmsgpack.unpack(ARGV[3]), ARGV[4]

local found = redis.call('TYPE', target).ok
local usable = found == 'none' or found == kind
if not usable and kind == 'stream' then  -- nothing is to be replayed here: it waits for the key's repair
  return redis.error_reply('WRONGTYPE ' .. target .. ' is a ' .. found .. ', not a stream')
end
local last = redis.call('HGET', marker, outbox)
local writes, refused, sums = 0, {}, {}

for _, delivery in ipairs(deliveries) do
  local id, what = delivery[1], delivery[2]
  local refusal = outbox .. ' refused ' .. id
  if not last or padded(last) < padded(id) then
    if not usable then
      redis.call('HSET', marker, refusal, 1)
    elseif kind == 'stream' then
      for _, session in ipairs(what) do
        redis.call('XADD', target, '*', 'userId', session[1], 'sessionDate', session[2], 'session', session[3])
        writes = writes + 1
      end
    else
      for user, seconds in pairs(what) do sums[user] = (sums[user] or 0) + seconds end
    end
    last = id
  end
  -- decided once, together with the marker: whoever delivers it again learns the same
  if redis.call('HEXISTS', marker, refusal) == 1 then refused[#refused + 1] = id end
end

for user, seconds in pairs(sums) do
  local sum = tonumber(redis.call('ZINCRBY', target, seconds, user))
  if seconds < 0 and math.abs(sum) < NOTHING_SECONDS then redis.call('ZREM', target, user) end  -- all moved away
  writes = writes + 1
end
if last then
  redis.call('HSET', marker, outbox, last)
  redis.call('EXPIRE', marker, keep)
end
return {'writes', writes, 'refused', refused}
