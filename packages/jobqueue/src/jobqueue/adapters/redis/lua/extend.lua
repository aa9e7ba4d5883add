-- Renew leases and note that the worker lives.
-- meta[3] the worker, meta[4] seconds of a lease, meta[5] leases, each {id, fence, progress}.
local worker, lease, held = meta[3], meta[4], meta[5]
call('ZREMRANGEBYSCORE', P .. 'workers', '-inf', exact(now - 60))
call('ZADD', P .. 'workers', now + lease, worker)
local lost, renewed = {}, {}
for i, each in ipairs(held) do
  local key = P .. 'job:' .. each[1]
  local h = fields(each[1], 's', 'f')
  if h[1] ~= 'processing' or tonumber(h[2]) ~= each[2] then
    add(lost, i - 1)
  else
    add(renewed, now + lease, each[1])
    if each[3] > 0 then call('HSET', key, 'g', each[3]) end
  end
end
many('ZADD', P .. 'leases', renewed)
return told({lost})
