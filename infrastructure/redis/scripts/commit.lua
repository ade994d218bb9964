-- The commit: acknowledge, count, park and announce, all or nothing, however often it is sent.
--
-- Atomic, and so:
-- Why nothing counts twice: a message contributes only if XACK says, in this same script, that it was pending.
-- Why nothing is lost: what may fail after the first XACK (the keys that others own) is kept where it can be replayed.
--
-- KEYS  stream, ends, announced, dead letters, failed scores, deferred messages, session score stream (with an outbox:
--       that instead), what is noted for a rebuild of boards
-- ARGV  group, greatest length of the dead letters, of the deferred messages, seconds to remember announced sessions,
--       the commit (msgpack):
--         boards   {key, …}
--         entries  {{user, {index in boards, …}, {id, …}, {seconds, …}}, …}
--         ends     {{id, user, date, session}, …}
--         letters  {{id, {field, value, …}}, …}
--         deferred {{id, {field, value, …}}, …}: records to be kept of messages among the entries
--         moves    {{id of such a record, user, seconds, {index of a board to lower, …}, {of one to raise, …}}, …}
--       '1' where there is an outbox
-- Boards are no KEYS: there are hundreds in a batch, and on a single node, or with all keys in one slot, they need not
-- be. On a cluster boards and the session score stream lie in other slots, which a script cannot reach: what they are
-- to get is put into the outbox in this same step, and `deliver.lua` serves them from there.
-- Returns messages, scores (raised), failed_scores, dead_letters, ended_sessions, failure (the first one, or ''),
--         deferred, moved (messages), by name
-- Needs: NOTHING_SECONDS, ids, scores, xinfo

local stream, ends, announced, dead_letters, failed_scores, deferred, events, rebuild = unpack(KEYS)
local outbox = ARGV[6] == '1' and events
local group, dead_letters_max, deferred_max, remember = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local commit = cmsgpack.unpack(ARGV[5])
local call, attempt = redis.call, redis.pcall

local function failure(reply)
  return type(reply) == 'table' and reply.err
end

-- A bookkeeping key of the wrong type stops the commit before it has changed anything.
local kinds = {
  [ends] = 'zset', [announced] = 'zset', [dead_letters] = 'stream', [failed_scores] = 'hash', [deferred] = 'stream',
  [rebuild] = 'hash'
}
if outbox then kinds[outbox] = 'stream' end
local rebuilding = false
for key, kind in pairs(kinds) do
  local found = call('TYPE', key).ok
  if found ~= 'none' and found ~= kind then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. found .. ', not a ' .. kind)
  end
  if key == rebuild then rebuilding = found == kind end
end

local function acknowledge(id)
  return call('XACK', stream, group, id) == 1
end

local acknowledged, messages = {}, 0
local sums = {}  -- what each board (by its index) is to get, by user

local function add(board, user, seconds)
  local users = sums[board]
  if not users then users = {}; sums[board] = users end
  users[user] = (users[user] or 0) + seconds
end

for _, entry in ipairs(commit.entries) do
  local user, boards, ids, seconds = entry[1], entry[2], entry[3], entry[4]
  local sum, counted = 0, false
  for i, id in ipairs(ids) do
    if acknowledge(id) then
      acknowledged[id], counted = true, true
      messages, sum = messages + 1, sum + seconds[i]
    end
  end
  if counted then
    for _, board in ipairs(boards) do add(board, user, sum) end
  end
end

-- A message moves once: when its record goes. Not during a rebuild, which counts it where its record says.
local moved = 0
for _, move in ipairs(rebuilding and {} or commit.moves) do
  local id, user, seconds, from, to = unpack(move)
  if call('XDEL', deferred, id) == 1 then
    for _, board in ipairs(from) do add(board, user, -seconds) end
    for _, board in ipairs(to) do add(board, user, seconds) end
    moved = moved + 1
  end
end

-- A rebuild adds to its sums what was committed since it began. One that misses anything must not come to its end.
local function note(key, user, sum)
  if rebuilding and failure(attempt('HINCRBYFLOAT', rebuild, score_name(key, user), sum)) then
    call('DEL', rebuild)
    rebuilding = false
  end
end

local raised, failed, first_failure = 0, 0, ''
local outgoing = {boards = {}, events = {}}
for board, users in pairs(sums) do
  local key = commit.boards[board + 1]
  if outbox then outgoing.boards[key] = users end
  for user, sum in pairs(outbox and {} or users) do
    note(key, user, sum)
    local reply = attempt('ZINCRBY', key, sum, user)  -- Redis writes a number as %.17g: exactly
    local err = failure(reply)
    if sum < 0 and not err and math.abs(tonumber(reply)) < NOTHING_SECONDS then call('ZREM', key, user) end  -- all moved away
    if err then
      local lost = failure(attempt('HINCRBYFLOAT', failed_scores, score_name(key, user), sum))
      if lost then err = err .. '; not kept: ' .. lost end
      failed = failed + 1
      first_failure = first_failure == '' and (key .. ': ' .. err) or first_failure
    else
      raised = raised + 1
    end
  end
end

local parked = 0
for _, letter in ipairs(commit.letters) do
  if acknowledge(letter[1]) then
    call('XADD', dead_letters, 'MAXLEN', '~', dead_letters_max, '*', unpack(letter[2]))
    parked = parked + 1
  end
end

local postponed = 0
for _, record in ipairs(commit.deferred) do
  if acknowledged[record[1]] then
    postponed = postponed + 1
    call('XADD', deferred, 'MAXLEN', '~', deferred_max, '*', unpack(record[2]))
  end
end

for _, ending in ipairs(commit.ends) do
  if acknowledged[ending[1]] then
    call('ZADD', ends, 0, padded(ending[1]) .. '|' .. cmsgpack.pack({ending[2], ending[3], ending[4]}))
  end
end

-- A session has ended when nothing at or below the id of its end is pending or undelivered: all messages of a
-- session come before its end in the stream, so all of them are committed then, whichever instance held them.
local function horizon()
  local pending = attempt('XPENDING', stream, group)
  if pending.err then return '-' end  -- the group is gone; then nothing was acknowledged either
  if pending[1] > 0 then return '(' .. padded(pending[2]) end
  return '(' .. padded(groups_of(stream)[group]['last-delivered-id']) .. '}'  -- '}' sorts after '|'
end

local function announce(ending, now)
  local session = cmsgpack.unpack(string.sub(ending, 43))
  local name = session[1] .. '\n' .. session[2] .. '\n' .. session[3]
  local announcing = not call('ZSCORE', announced, name)
  if announcing then
    local event = {'userId', session[1], 'sessionDate', session[2], 'session', session[3]}
    if outbox then table.insert(outgoing.events, session) end
    local err = not outbox and failure(attempt('XADD', events, '*', unpack(event)))
    if err then  -- stays noted, and is tried again with the next commit
      first_failure = first_failure == '' and (events .. ': ' .. err) or first_failure
      return 0
    end
    call('ZADD', announced, now, name)
  end
  call('ZREM', ends, ending)
  return announcing and 1 or 0
end

local ended = 0
if call('EXISTS', ends, stream) == 2 then
  local now = tonumber(call('TIME')[1])
  for _, ending in ipairs(call('ZRANGEBYLEX', ends, '-', horizon(), 'LIMIT', 0, 1000)) do
    ended = ended + announce(ending, now)
  end
  call('ZREMRANGEBYSCORE', announced, '-inf', now - remember)
end

if next(outgoing.boards) or next(outgoing.events) then
  call('XADD', outbox, '*', 'commit', cmsgpack.pack(outgoing))
end

return {
  'messages', messages, 'scores', raised, 'failed_scores', failed, 'dead_letters', parked, 'ended_sessions', ended,
  'failure', first_failure, 'deferred', postponed, 'moved', moved,
}
