-- Noted ends of sessions that are old enough, and behind which nothing is missing in the stream.
--
-- All messages of a session that come before its end in the stream are committed when nothing at or below the id of
-- the end is pending or undelivered, whichever instance held them.
--
-- Atomic so that what is pending and what is noted are of one moment.
--
-- KEYS  stream, ends, sessions of deferred messages (behind this name, with ':' and a session: those being deferred)
-- ARGV  group, the least age (ms) of an end's entry, member of `ends` behind which to look ('': from the first), how many
-- Returns ends ({{member, id, user, date, session, age (ms), 1 if a message of the session is deferred}, …}),
--         last (the member to go on behind; '' where there are no more), foreign (members removed that are not the
--         pipeline's), by name
-- Needs: ids, xinfo, ends

local stream, ends, deferred = unpack(KEYS)
local group, least_age, after, limit = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local call = redis.call

if call('EXISTS', ends, stream) < 2 then return {'ends', {}, 'last', '', 'foreign', 0} end

local found = groups_of(stream)[group]
if not found then return {'ends', {}, 'last', '', 'foreign', 0} end
local pending = call('XPENDING', stream, group)
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local too_young = '(' .. padded(string.format('%.0f-0', math.max(0, now - least_age + 1)))
local missing = '(' .. padded(found['last-delivered-id']) .. '}'  -- '}' sorts after '|'
if pending[1] > 0 then missing = '(' .. padded(pending[2]) end

local due, last, foreign = {}, '', 0
local first, bound = after == '' and '-' or '(' .. after, missing < too_young and missing or too_young
local members = call('ZRANGEBYLEX', ends, first, bound, 'LIMIT', 0, limit)
local names = {}
for _, member in ipairs(members) do
  local id, session = read_end(member)
  if id then
    local age = now - tonumber(string.match(id, '^%d+'))
    due[#due + 1] = {member, id, session[1], session[2], session[3], age}
    names[#due] = session_name(session)
  else
    foreign = foreign + call('ZREM', ends, member)
  end
end
for i, is_deferred in ipairs(deferred_among(deferred, names)) do due[i][7] = is_deferred end
if #members == limit then last = members[limit] end
return {'ends', due, 'last', last, 'foreign', foreign}
