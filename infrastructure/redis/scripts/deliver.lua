-- On a cluster: serves one board, or the session score stream, from the outbox of one activity stream.
--
-- Atomic so that an entry is applied if and only if the marker says so. The marker remembers the last outbox entry that
-- was dealt with, in the slot of the target and in the same step, so that an entry is applied once however often, and by
-- however many instances, it is delivered. For that each delivery must begin with the oldest entry of the outbox that
-- concerns the target. The marker is written first: what may fail behind it is either kept with it, or guarded.
--
-- KEYS  target, its marker
-- ARGV  the outbox, seconds to keep the marker, deliveries (msgpack): {{id, what}, …} by id, where `what` is
--         {user = seconds, …} for a board, {{user, date, session}, …} for the session score stream; kind
-- Returns writes (how many were made), refused ({{id, {user, …}}, …}: what the board could not take), by name
-- Needs: ids, boards, permissions

local target, marker = KEYS[1], KEYS[2]
local outbox, keep, deliveries, kind = ARGV[1], ARGV[2], cmsgpack.unpack(ARGV[3]), ARGV[4]
local call = redis.call

if kind == 'stream' then  -- nothing is to be replayed here: it waits for the key's repair
  local found = call('TYPE', target).ok
  local err = found ~= 'none' and found ~= kind and 'WRONGTYPE ' .. target .. ' is a ' .. found .. ', not a stream'
  err = err or refusal('XADD', target)
  if err then return redis.error_reply(err) end
else
  local err = refusal('ZADD', target) or refusal('ZINCRBY', target) or refusal('ZREM', target)
  if err then return redis.error_reply(err) end
end

local last = call('HGET', marker, outbox)
local new, writes, refused, sums = {}, 0, {}, {}
for _, delivery in ipairs(deliveries) do
  if not last or padded(last) < padded(delivery[1]) then
    new[#new + 1] = delivery
    last = delivery[1]
  end
end
if new[1] then
  call('HSET', marker, outbox, last)
  call('EXPIRE', marker, keep)
end

if kind == 'stream' then
  for _, delivery in ipairs(new) do
    for _, session in ipairs(delivery[2]) do
      call('XADD', target, '*', 'userId', session[1], 'sessionDate', session[2], 'session', session[3])
      writes = writes + 1
    end
  end
else
  for _, delivery in ipairs(new) do
    for user, seconds in pairs(delivery[2]) do sums[user] = (sums[user] or 0) + seconds end
  end
  local without = {}
  writes = raise(target, sums, function(user) without[user] = true end)
  for _, delivery in ipairs(next(without) and new or {}) do
    local users = {}
    for user in pairs(delivery[2]) do
      if without[user] then users[#users + 1] = user end
    end
    if users[1] then call('HSET', marker, outbox .. ' refused ' .. delivery[1], cmsgpack.pack(users)) end
  end
end

for _, delivery in ipairs(deliveries) do  -- decided once, with the marker: whoever delivers it again learns the same
  local users = call('HGET', marker, outbox .. ' refused ' .. delivery[1])
  if users then refused[#refused + 1] = {delivery[1], cmsgpack.unpack(users)} end
end
return {'writes', writes, 'refused', refused}
