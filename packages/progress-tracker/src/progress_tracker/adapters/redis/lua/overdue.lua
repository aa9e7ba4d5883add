-- What a sweep has to do. meta: now, completed_before, failed_before, how many of each.
-- What was written since it was entered in `stale` is entered anew: writes leave it alone.
local stalled = {}
for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'stale', '-inf', '(' .. meta[1], 'LIMIT', 0, 10000)) do
  local found = call('HMGET', P .. 'o:' .. id, 's', 'x')
  if found[1] ~= 'processing' then
    call('ZREM', P .. 'stale', id)
  elseif tonumber(found[2]) >= tonumber(meta[1]) then
    call('ZADD', P .. 'stale', found[2], id)
  else
    stalled[#stalled + 1] = id
    if #stalled >= meta[4] then break end
  end
end
local expired = call('ZRANGEBYSCORE', P .. 'done', '-inf', '(' .. meta[2], 'LIMIT', 0, meta[4])
for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'bad', '-inf', '(' .. meta[3], 'LIMIT', 0, meta[4])) do
  if #expired < meta[4] then expired[#expired + 1] = id end
end
return told({stalled, expired})
