-- Announces the sessions of noted ends, each session once.
--
-- Atomic so that an end is noted until its session is announced, and this happens once, whoever asks how often.
--
-- KEYS  ends, announced, session score stream or, on a cluster, the outbox, from which `deliver.lua` serves that stream
-- ARGV  seconds to remember announced sessions, '1' where the last key is an outbox, members of `ends`, …
-- Returns how many sessions were announced
-- Needs: failures, ends, permissions

local ends, announced, events = unpack(KEYS)
local remember, is_outbox = tonumber(ARGV[1]), ARGV[2] == '1'
local call = redis.call

local kind = call('TYPE', events).ok
local err = kind ~= 'none' and kind ~= 'stream' and 'WRONGTYPE ' .. events .. ' is a ' .. kind .. ', not a stream'
err = err or refusal('ZREM', ends) or refusal('ZADD', announced) or refusal('XADD', events)
if err then return redis.error_reply(err) end

local now = tonumber(call('TIME')[1])
local count = 0

local function announce(session)
  if is_outbox then
    return redis.pcall('XADD', events, '*', 'commit', cmsgpack.pack({boards = {}, events = {session}}))
  end
  return redis.pcall('XADD', events, '*', 'userId', session[1], 'sessionDate', session[2], 'session', session[3])
end

for i = 3, #ARGV do
  local member = ARGV[i]
  local _, session = read_end(member)
  if session and call('ZSCORE', ends, member) then
    local name = session_name(session)
    local cause
    if not call('ZSCORE', announced, name) then
      call('ZADD', announced, now, name)
      cause = failure(announce(session))  -- of a stream whose ids are exhausted, for example
      if cause then call('ZREM', announced, name) else count = count + 1 end
    end
    if not cause then call('ZREM', ends, member) end
  end
end
call('ZREMRANGEBYSCORE', announced, '-inf', now - remember)
return count
