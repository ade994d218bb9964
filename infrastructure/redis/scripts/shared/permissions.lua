-- Whether commands may be run, found out before anything is changed.
-- Needs: failures

local PROBES = {  -- a call that cannot change anything, and what Redis says of it where the command is allowed
  XACK = {function(key, group) return 'XACK', key, group, '0-0' end},
  XADD = {function(key) return 'XADD', key, '0-0', 'probe', '' end, 'must be greater than 0%-0'},
  XCLAIM = {function(key, group, consumer) return 'XCLAIM', key, group, consumer, 0, '0-0', 'JUSTID' end, 'NOGROUP'},
  XDEL = {function(key) return 'XDEL', key, '0-0' end},
  ZADD = {function(key) return 'ZADD', key, 'XX', 0, '' end, 'WRONGTYPE'},
  ZINCRBY = {function(key) return 'ZINCRBY', key, 'nan', '' end, 'value is '},
  ZREM = {function(key) return 'ZREM', key, '' end, 'WRONGTYPE'},
  HINCRBY = {function(key) return 'HINCRBY', key, '', 'nan' end, 'value is '},
  HINCRBYFLOAT = {function(key) return 'HINCRBYFLOAT', key, '', 'nan' end, 'value is '},
}

-- What Redis says where the command is refused on a key, by an ACL for example; else nil.
local function refusal(command, key, ...)
  local call, expected = unpack(PROBES[command])
  local err = failure(redis.pcall(call(key, ...)))
  if err and not (expected and string.find(err, expected)) then return command .. ' ' .. key .. ': ' .. err end
end
