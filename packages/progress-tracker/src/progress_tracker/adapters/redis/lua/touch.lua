-- Renew leases. meta: for each id, epoch, writer, stale_at. The answer, for each: whether a
-- cancellation is requested, or -1 where the lease is over.
local answer = {}
for i, beat in ipairs(meta) do
  local key = P .. 'o:' .. beat[1]
  local found = call('HMGET', key, 'e', 'wr', 's', 'cr')
  if not found[1] or tonumber(found[1]) ~= beat[2] or found[2] ~= beat[3] or FINAL[found[3]] then
    answer[i] = -1
  else
    call('HSET', key, 'x', beat[4])
    if found[3] == 'processing' then call('ZADD', P .. 'stale', beat[4], beat[1]) end
    answer[i] = tonumber(found[4])
  end
end
return told(answer)
