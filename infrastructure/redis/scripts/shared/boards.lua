-- How boards are raised.
-- Needs: NOTHING_SECONDS, failures

local IMPLAUSIBLE = 1e290  -- seconds: what is smaller cannot make a finite score infinite
local SINGLY = 3  -- fewer users than this are raised one by one, which is cheaper then
local AT_ONCE = 2000  -- users: `unpack` has a limit below 8,000 values

-- Raises the scores of some users on a board, all or none. Returns what Redis says if it refuses.
local function raise_some(board, users, seconds, first, last)
  local scores = redis.pcall('ZMSCORE', board, unpack(users, first, last))
  if failure(scores) then return failure(scores) end
  local raised, gone, next_raised = {}, {}, 1
  for i = first, last do
    local sum = (scores[i - first + 1] or 0) + seconds[i]
    if seconds[i] < 0 and math.abs(sum) < NOTHING_SECONDS then
      gone[#gone + 1] = users[i]
    else
      raised[next_raised], raised[next_raised + 1], next_raised = sum, users[i], next_raised + 2
    end
  end
  local err = raised[1] and failure(redis.pcall('ZADD', board, unpack(raised)))
  return err or gone[1] and failure(redis.pcall('ZREM', board, unpack(gone)))
end

local function raise_one(board, user, seconds)
  local reply = redis.pcall('ZINCRBY', board, seconds, user)  -- Redis writes a number as %.17g: exactly
  if failure(reply) then return failure(reply) end
  if seconds < 0 and math.abs(tonumber(reply)) < NOTHING_SECONDS then redis.pcall('ZREM', board, user) end
end

-- What users are to get, as arrays, made once for all boards on which they get it: their names and seconds, and the
-- names of those whose seconds are not plausible.
local arrays_of_seconds = {}
local function arrays_of(seconds)
  local arrays = arrays_of_seconds[seconds]
  if not arrays then
    local users, sums, odd, count = {}, {}, {}, 0
    for user, sum in pairs(seconds) do
      if math.abs(sum) < IMPLAUSIBLE then
        count = count + 1
        users[count], sums[count] = user, sum
      else
        odd[#odd + 1] = user
      end
    end
    arrays = {users, sums, odd}
    arrays_of_seconds[seconds] = arrays
  end
  return unpack(arrays)
end

-- Raises a board by the seconds of each user; a score from which all is moved away goes. Never fails: calls
-- refused(user, what Redis says) for each user whose score could not be raised. Returns how many were raised. Tables of
-- `seconds` must not be changed after their first use.
local function raise(board, seconds, refused)
  local users, sums, odd = arrays_of(seconds)
  for _, user in ipairs(odd) do refused(user, 'the sum is not plausible') end
  local raised = 0
  local step = #users < SINGLY and 1 or AT_ONCE
  for first = 1, #users, step do
    local last = math.min(first + step - 1, #users)
    local err
    if step == 1 then
      err = raise_one(board, users[first], sums[first])
    else
      err = raise_some(board, users, sums, first, last)
    end
    for i = first, err and last or 0 do refused(users[i], err) end
    if not err then raised = raised + last - first + 1 end
  end
  return raised
end
