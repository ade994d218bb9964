-- Announces the sessions of noted ends, each session once.
--
-- Atomic so that an end is noted until its session is announced, and this happens once, whoever asks how often.
--
-- KEYS  ends, announced, session score stream or, on a cluster, the outbox, from which `deliver.lua` serves that stream,
--       sessions of deferred messages (behind this name, with ':' and a session: those being deferred)
-- ARGV  seconds to remember announced sessions, '1' where the third key is an outbox, '1' to leave sessions of which a
--       message is deferred, members of `ends`, …
-- Returns how many sessions were announced
-- Needs: failures, ends, permissions

local ends, announced, events, deferred = unpack(KEYS)
local remember, is_outbox, look = tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3] == '1'
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

local members, sessions, names = {}, {}, {}
for i = 4, #ARGV do
  local _, session = read_end(ARGV[i])
  if session then
    members[#members + 1], sessions[#sessions + 1] = ARGV[i], session
    names[#names + 1] = session_name(session)
  end
end
if members[1] then
  local still_noted, before = call('ZMSCORE', ends, unpack(members)), call('ZMSCORE', announced, unpack(names))
  local held = look and deferred_among(deferred, names) or {}
  local new, done = {}, {}
  for i, member in ipairs(members) do
    local cause
    if held[i] == 1 then still_noted[i] = false end
    if still_noted[i] and not before[i] and not new[names[i]] then
      cause = failure(announce(sessions[i]))  -- of a stream whose ids are exhausted, for example
      if not cause then new[names[i]], count = true, count + 1 end
    end
    if still_noted[i] and not cause then done[#done + 1] = member end
  end
  local scored = {}
  for name in pairs(new) do
    scored[#scored + 1] = now
    scored[#scored + 1] = name
  end
  if scored[1] then call('ZADD', announced, unpack(scored)) end
  if done[1] then call('ZREM', ends, unpack(done)) end
end
call('ZREMRANGEBYSCORE', announced, '-inf', now - remember)
return count
