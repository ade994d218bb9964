-- The commit: acknowledge, count, park and note ends, all or nothing, however often it is sent.
--
-- Atomic, and so:
-- Why nothing counts twice: a message contributes only if XACK says, in this same script, that it was pending, and if
-- its log has not been counted before.
-- Why nothing is lost: what Redis may refuse is found out before the first XACK. What can fail after it all the same is
-- either kept where it can be replayed, or its message is given back and is pending again.
--
-- KEYS  stream, ends, dead letters, failed scores, deferred messages, sessions of these, what is noted for a rebuild of
--       boards; events, their state (only where ARGV[9] is given); outbox (only where there is one)
-- ARGV  group, consumer, greatest length of the dead letters, of the deferred messages, seconds to remember which logs
--       were counted (0: they are not), prefix of the sets of these, the commit (msgpack), the ids of the logs:
--         boards   {key, …}
--         archived {index of a board whose seconds are to be kept for replay, …}
--         sets     {{index in boards, …}, …}
--         users    {user, …}, whose messages raise the set of boards of
--         raises   {index in sets, …}, and there are
--         counts   {how many, …} of them in
--         ids      {id, …}
--         seconds  {seconds, …}
--         days     {the day (since 1970) of the log, …}, or the one of all
--         ends     {{id, user, date, session}, …}, of messages and of letters
--         letters  {{id, {field, value, …}}, …}
--         deferred {{id, session, {field, value, …}}, …}: records to be kept of messages among the entries
--         moves    {{id of such a record, session, user, seconds, {index of a board to lower, …}, {of one to raise, …}}, …}
--       The ids of the logs have 12 bytes each, in the order of `ids`; 12 zeros: the message has none; '': no one has.
--       Only where events are posted: the greatest number of them that may wait, and two texts, in msgpack: the posting
--       of each message, in the order of `ids`, and the postings of each move. The script does not look into them, but
--       puts them as they are into one entry of `events`, with the positions (from 0) that count where not all do.
-- Boards and sets of counted logs are no KEYS: there are hundreds of boards in a batch, and on a single node, or with
-- all keys in one slot, they need not be. On a cluster boards lie in other slots, which a script cannot reach: what
-- they are to get is put into the outbox in this same step, and `deliver.lua` serves them from there.
-- Returns messages, scores (raised), failed_scores, dead_letters, failure (the first one, or ''), deferred, moved,
--         duplicates (of the messages, those whose log had been counted), by name
-- Needs: failures, ends, scores, boards, permissions

local stream, ends, dead_letters, failed_scores, deferred, sessions, rebuild = unpack(KEYS)
local events_max, span_postings, move_postings = tonumber(ARGV[9]), ARGV[10], ARGV[11]
local events, events_state = events_max and KEYS[8], events_max and KEYS[9]
local outbox = KEYS[events and 10 or 8]
local group, consumer, dead_letters_max, deferred_max = unpack(ARGV)
local remember, counted_prefix = tonumber(ARGV[5]), ARGV[6]
local commit, logs = cmsgpack.unpack(ARGV[7]), ARGV[8]
local call, attempt = redis.call, redis.pcall
local NO_LOG = string.rep('\0', 12)

-- A bookkeeping key of the wrong type, or a command that is not allowed, stops the commit before it has changed anything.
local kinds = {
  [ends] = 'zset', [dead_letters] = 'stream', [failed_scores] = 'hash', [deferred] = 'stream', [sessions] = 'hash',
  [rebuild] = 'hash'
}
if outbox then kinds[outbox] = 'stream' end
if events then kinds[events], kinds[events_state] = 'stream', 'hash' end
local rebuilding = false
for key, kind in pairs(kinds) do
  local found = call('TYPE', key).ok
  if found ~= 'none' and found ~= kind then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. found .. ', not a ' .. kind)
  end
  if key == rebuild then rebuilding = found == kind end
end
local raises = commit.boards[1]
local err = refusal('XACK', stream, group)  -- also: after a first write, a full Redis refuses none
  or (commit.letters[1] or commit.deferred[1] or logs ~= '') and refusal('XCLAIM', stream, group, consumer)
  or raises and outbox and refusal('XADD', outbox)
  or raises and not outbox and (refusal('ZADD', raises) or refusal('ZINCRBY', raises) or refusal('ZREM', raises))
  or raises and not outbox and refusal('HINCRBYFLOAT', failed_scores)
  or commit.ends[1] and refusal('ZADD', ends)
  or commit.letters[1] and refusal('XADD', dead_letters)
  or commit.deferred[1] and (refusal('XADD', deferred) or refusal('HINCRBY', sessions))
  or commit.moves[1] and (refusal('XDEL', deferred) or refusal('HINCRBY', sessions))
  or events and (refusal('XADD', events) or refusal('HINCRBY', events_state))
if err then return redis.error_reply(err) end

local first_failure = ''
local function failed(what, cause)
  if first_failure == '' then first_failure = what .. ': ' .. cause end
end

local acknowledged, given_back = {}, {}  -- of the messages with an end: whether they were pending
for _, ending in ipairs(commit.ends) do acknowledged[ending[1]] = false end

local function acknowledge(id)
  local pending = call('XACK', stream, group, id) == 1
  if pending and acknowledged[id] == false then acknowledged[id] = true end
  return pending
end

local function give_back(id)
  acknowledged[id], given_back[id] = nil, true
  attempt('XCLAIM', stream, group, consumer, 0, id, 'FORCE', 'JUSTID')
end

-- What comes of a message beside its seconds is written first, so that it can be given back. Records beyond the greatest
-- length take the place of others, so they add to no session.
local records, postponed = {}, 0
for _, record in ipairs(commit.deferred) do records[record[1]] = record end

local function keep_record(id)
  local record = records[id]
  if not record then return true end
  local cause = failure(attempt('XADD', deferred, 'MAXLEN', '~', deferred_max, '*', unpack(record[3])))
  if cause then
    failed(deferred, cause)
    return false
  end
  if record[2] ~= '' and call('XLEN', deferred) < tonumber(deferred_max) then
    attempt('HINCRBY', sessions, record[2], 1)
  end
  postponed = postponed + 1
  return true
end

-- The sets of counted logs, one for each day on which logs were created: an ObjectId begins with that time. So a log is
-- always looked for in the same set, and a set goes as a whole.
local log_of, with_log, count = {}, {}, 0  -- by the position of a message; the positions of those that have one
for i = 1, #logs / 12 do
  local log = string.sub(logs, 12 * i - 11, 12 * i)
  if log ~= NO_LOG then
    count = count + 1
    log_of[i], with_log[count] = log, i
  end
end

-- Calls use(the set of a day, logs) for the logs of messages, some thousand at a time.
local function by_day(positions, use)
  local days = {[commit.days] = positions}
  if type(commit.days) == 'table' then
    days = {}
    for _, i in ipairs(positions) do
      local day = commit.days[i]
      days[day] = days[day] or {}
      table.insert(days[day], i)
    end
  end
  for day, of_day in pairs(days) do
    for first = 1, #of_day, 4000 do
      local some = {}
      for j = first, math.min(first + 3999, #of_day) do some[j - first + 1] = log_of[of_day[j]] end
      local cause = failure(use(counted_prefix .. string.format('%.0f', day), some))
      -- Counting does not need these sets; but a log that comes again would count again.
      if cause then failed(counted_prefix .. day, cause) end
    end
  end
end

local counted, new = {}, {}  -- logs that were counted, also of this batch; the positions of those that are now
by_day(with_log, function(key, some)
  local known = attempt('SMISMEMBER', key, unpack(some))
  if not failure(known) then
    for j, log in ipairs(some) do
      if known[j] == 1 then counted[log] = true end
    end
  end
  return known
end)

-- The positions of the messages acknowledged here. Lengths are counted: `#` looks for the end of a table each time.
local messages, message_count, repeated, duplicates, new_count = {}, 0, {}, 0, 0
for i, id in ipairs(commit.ids) do
  if acknowledge(id) then
    local log = log_of[i]
    local again = log and counted[log]
    if again or keep_record(id) then
      message_count = message_count + 1
      messages[message_count] = i
      if again then
        repeated[i], duplicates = true, duplicates + 1
      elseif log then
        new_count = new_count + 1
        counted[log], new[new_count] = true, i
      end
    else
      give_back(id)
    end
  end
end

for _, record in ipairs(commit.deferred) do  -- what was given back has its interim category still, and no record
  if record[2] ~= '' and not given_back[record[1]] then attempt('SREM', sessions .. ':' .. record[2], record[1]) end
end

by_day(new, function(key, some)
  local added = attempt('SADD', key, unpack(some))
  attempt('EXPIRE', key, remember)
  return added
end)
if rebuilding and new[1] then
  local noted = rebuild .. ':' .. call('HGET', rebuild, 'token') .. ':logs'
  for _, i in ipairs(new) do call('SADD', noted, log_of[i]) end
  call('PEXPIRE', noted, 3600000)
end

local sums = {}  -- what each user is to get on all boards of a set, by the set's position
local function add(to, user, seconds) to[user] = (to[user] or 0) + seconds end

local next_message, first = 1, 1
for entry, user in ipairs(commit.users) do
  local last, sum, counts = first + commit.counts[entry] - 1, 0, false
  while messages[next_message] and messages[next_message] <= last do
    local i = messages[next_message]
    if not repeated[i] then sum, counts = sum + commit.seconds[i], true end
    next_message = next_message + 1
  end
  if counts then
    local set = commit.raises[entry] + 1
    sums[set] = sums[set] or {}
    add(sums[set], user, sum)
  end
  first = last + 1
end

-- A message moves once: when its record goes. Not during a rebuild, which counts it where its record says.
local moved, moves = {}, {}  -- the positions of the moves made; what each user is to get on a board, by its index
local function move_seconds(boards, user, seconds)
  for _, board in ipairs(boards) do
    moves[board] = moves[board] or {}
    add(moves[board], user, seconds)
  end
end

for position, move in ipairs(rebuilding and {} or commit.moves) do
  local id, session, user, seconds, from, to = unpack(move)
  if call('XDEL', deferred, id) == 1 then
    move_seconds(from, user, -seconds)
    move_seconds(to, user, seconds)
    if session ~= '' and call('HINCRBY', sessions, session, -1) <= 0 then call('HDEL', sessions, session) end
    moved[#moved + 1] = position
  end
end
if moved[1] and call('XLEN', deferred) == 0 then call('DEL', sessions) end

-- A rebuild adds to its sums what was committed since it began. One that misses anything must not come to its end.
local function note(key, user, sum)
  if rebuilding and failure(attempt('HINCRBYFLOAT', rebuild, score_name(key, user), sum)) then
    call('DEL', rebuild)
    rebuilding = false
  end
end

local raised, kept = 0, 0
local function keep(key, user, sum, cause)
  local lost = failure(attempt('HINCRBYFLOAT', failed_scores, score_name(key, user), sum))
  failed(key, lost and cause .. '; not kept: ' .. lost or cause)
  kept = kept + 1
end

-- What each user is to get on a board, by the board's index. Boards of the same sets, as those of a category's day, week
-- and month, share one table.
local function total_of(parts)
  if not parts[2] then return parts[1] end
  local total = {}
  for _, part in ipairs(parts) do
    for user, sum in pairs(part) do add(total, user, sum) end
  end
  return total
end

local sets_of, parts_of, totals, by_board = {}, {}, {}, {}
for set, boards in ipairs(commit.sets) do  -- in their order, so that a sum is the same to the bit whoever adds it up
  for _, board in ipairs(sums[set] and boards or {}) do
    sets_of[board] = (sets_of[board] or '') .. ' ' .. set
    parts_of[board] = parts_of[board] or {}
    table.insert(parts_of[board], sums[set])
  end
end
for board, sets in pairs(sets_of) do
  totals[sets] = totals[sets] or total_of(parts_of[board])
  by_board[board] = totals[sets]
end
for board, users in pairs(moves) do by_board[board] = total_of({users, by_board[board]}) end

local archived = {}
for _, board in ipairs(commit.archived) do archived[board] = true end

local outgoing = {}
for board, users in pairs(by_board) do
  local key = commit.boards[board + 1]
  if archived[board] then
    for user, sum in pairs(users) do keep(key, user, sum, 'its period is archived') end
  elseif outbox then
    outgoing[key] = users
  else
    if rebuilding then
      for user, sum in pairs(users) do note(key, user, sum) end
    end
    raised = raised + raise(key, users, function(user, cause) keep(key, user, users[user], cause) end)
  end
end
if next(outgoing) then
  local packed = cmsgpack.pack({boards = outgoing, events = {}})
  local cause = failure(attempt('XADD', outbox, '*', 'commit', packed))
  for key, users in pairs(cause and outgoing or {}) do
    for user, sum in pairs(users) do keep(key, user, sum, cause) end
  end
end

-- What was counted is posted. Where that cannot be, the gap is noted, by the day that is the third part of a posting.
local function note_gap(packed, positions)
  local postings = cmsgpack.unpack(packed)
  for _, i in ipairs(positions) do
    for _, posting in ipairs(type(postings[i][1]) == 'table' and postings[i] or {postings[i]}) do
      attempt('HINCRBY', events_state, 'gap', 1)
      attempt('HINCRBY', events_state, 'gap:' .. posting[3], 1)
    end
  end
end

local function add_postings(entry, name, packed, positions, all)
  if not positions[1] or packed == '' then return 0 end
  entry[#entry + 1], entry[#entry + 2] = name, packed
  if #positions < all then
    local from_0 = {}
    for j, i in ipairs(positions) do from_0[j] = i - 1 end
    entry[#entry + 1], entry[#entry + 2] = name .. '_of', cmsgpack.pack(from_0)
  end
  return #positions
end

if events then
  local posted = messages
  if duplicates > 0 then
    posted = {}
    for _, i in ipairs(messages) do
      if not repeated[i] then posted[#posted + 1] = i end
    end
  end
  local entry = {}
  local again = {}
  for i in pairs(repeated) do again[#again + 1] = i end
  if again[1] and not posted[1] and span_postings ~= '' then entry = {'spans', span_postings, 'spans_of', cmsgpack.pack({})} end
  local count = #again + add_postings(entry, 'spans', span_postings, posted, #commit.ids)
    + 2 * add_postings(entry, 'moves', move_postings, moved, #commit.moves)
  if again[1] and span_postings ~= '' then
    for j, i in ipairs(again) do again[j] = i - 1 end
    entry[#entry + 1], entry[#entry + 2] = 'spans_repeated', cmsgpack.pack(again)
  end
  if entry[1] then
    local waiting = attempt('HINCRBY', events_state, 'waiting', count)
    local cause = failure(waiting) or waiting > events_max and 'full'
      or failure(attempt('XADD', events, '*', 'count', count, unpack(entry)))
    if cause then
      if not failure(waiting) then call('HINCRBY', events_state, 'waiting', -count) end
      if cause ~= 'full' then failed(events, cause) end
      if span_postings ~= '' then note_gap(span_postings, posted) end
      if move_postings ~= '' then note_gap(move_postings, moved) end
    end
  end
end

local parked = 0
for _, letter in ipairs(commit.letters) do
  local id = letter[1]
  if acknowledge(id) then
    local cause = failure(attempt('XADD', dead_letters, 'MAXLEN', '~', dead_letters_max, '*', unpack(letter[2])))
    if cause then
      give_back(id)
      failed(dead_letters, cause)
    else
      parked = parked + 1
    end
  end
end

local noted = {}
for _, ending in ipairs(commit.ends) do
  if acknowledged[ending[1]] then
    noted[#noted + 1] = 0
    noted[#noted + 1] = noted_end(unpack(ending))
  end
end
for first = 1, #noted, 4000 do call('ZADD', ends, unpack(noted, first, math.min(first + 3999, #noted))) end

return {
  'messages', #messages, 'scores', raised, 'failed_scores', kept, 'dead_letters', parked, 'failure', first_failure,
  'deferred', postponed, 'moved', #moved, 'duplicates', duplicates,
}
