-- What the first commit script did, in its simplest form, to hold `commit.lua` to: a ZINCRBY for each board and user.
--
-- KEYS, ARGV: those of `commit.lua`, of which it knows messages, logs and ends; no letters, deferred messages or moves.
-- Returns messages, duplicates, as `commit.lua` does.
-- Needs: failures, ends, scores

local stream, ends, _, failed_scores = unpack(KEYS)
local group, remember, counted_prefix = ARGV[1], ARGV[5], ARGV[6]
local commit, logs = cmsgpack.unpack(ARGV[7]), ARGV[8]
local NO_LOG = string.rep('\0', 12)

local messages, duplicates, noted = 0, 0, {}
for _, ending in ipairs(commit.ends) do noted[ending[1]] = ending end

local sums, position = {}, 0  -- by set of boards and user
for entry, user in ipairs(commit.users) do
  for _ = 1, commit.counts[entry] do
    position = position + 1
    local id, log = commit.ids[position], string.sub(logs, 12 * position - 11, 12 * position)
    if redis.call('XACK', stream, group, id) == 1 then
      messages = messages + 1
      local ending, again = noted[id], false
      if ending then redis.call('ZADD', ends, 0, noted_end(unpack(ending))) end
      if log ~= '' and log ~= NO_LOG then
        local day = type(commit.days) == 'table' and commit.days[position] or commit.days
        again = redis.call('SADD', counted_prefix .. string.format('%.0f', day), log) == 0
        redis.call('EXPIRE', counted_prefix .. string.format('%.0f', day), remember)
      end
      if again then
        duplicates = duplicates + 1
      else
        local set = commit.raises[entry] + 1
        sums[set] = sums[set] or {}
        sums[set][user] = (sums[set][user] or 0) + commit.seconds[position]
      end
    end
  end
end

local scores = {}  -- by board and user
for set, boards in ipairs(commit.sets) do
  for _, board in ipairs(boards) do
    scores[board] = scores[board] or {}
    for user, sum in pairs(sums[set] or {}) do scores[board][user] = (scores[board][user] or 0) + sum end
  end
end
for board, users in pairs(scores) do
  local key = commit.boards[board + 1]
  for user, sum in pairs(users) do
    local refused = math.abs(sum) >= 1e290 or failure(redis.pcall('ZINCRBY', key, sum, user))
    if refused then redis.pcall('HINCRBYFLOAT', failed_scores, score_name(key, user), sum) end
  end
end

return {'messages', messages, 'duplicates', duplicates}
