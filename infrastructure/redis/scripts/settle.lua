-- On a cluster: takes an entry out of the outbox after all its targets were served, and keeps for replay what some of
-- them could not take.
--
-- Atomic so that it is kept once, however many instances settle the entry.
--
-- KEYS  outbox, failed scores
-- ARGV  id, refused scores (msgpack): {{field, seconds}, …}
-- Returns how many scores were kept

if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
local refused = cmsgpack.unpack(ARGV[2])
for _, score in ipairs(refused) do
  -- pcall: a sum that became infinite can't be kept, and must not hinder the others
  redis.pcall('HINCRBYFLOAT', KEYS[2], score[1], score[2])
end
return #refused
