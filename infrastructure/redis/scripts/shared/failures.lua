-- What Redis says where redis.pcall failed; else false.
local function failure(reply)
  return type(reply) == 'table' and reply.err
end
