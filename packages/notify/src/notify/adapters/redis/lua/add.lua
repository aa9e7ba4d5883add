-- Store notifications, all or none. A: one row each: id, user, key, visible, at, fields, deliveries;
-- a delivery: id, channel, bundle, status, due, created, fields. Returns for each {seq or false} if
-- it is new, else {false, what is there, its deliveries}.
local made = {}
for _, row in ipairs(A) do
  local id, user, key = row[1], row[2], row[3]
  local known = call('EXISTS', P .. 'n:' .. id) == 1 and id
  if not known and key then known = call('HGET', P .. 'keys:' .. user, key) end
  if known then
    local rows = {}
    for i, each in ipairs(call('LRANGE', P .. 'of:' .. known, 0, -1)) do
      rows[i] = call('HGETALL', P .. 'd:' .. each)
    end
    made[#made + 1] = {0, record(known), rows}
  else
    call('HSET', P .. 'n:' .. id, unpack(row[6]))
    call('SADD', P .. 'notes:' .. user, id)
    local done = call('HMGET', P .. 'n:' .. id, 'read_at', 'archived_at')
    local is_done = done[1] or done[2]
    call('ZADD', P .. (is_done and 'done' or 'fresh'), is_done or row[5], id)
    if key then call('HSET', P .. 'keys:' .. user, key, id) end
    for _, d in ipairs(row[7]) do
      call('HSET', P .. 'd:' .. d[1], unpack(d[7]))
      call('RPUSH', P .. 'of:' .. id, d[1])
      call('ZADD', P .. 'all', d[6], d[1])
      count(d[4], 1)
      if OPEN[d[4]] then put(d[1], {channel = d[2], bundle = d[3]}, d[5]) end
    end
    made[#made + 1] = {1, row[4] and show(id, user, row[5]) or false}
  end
end
return made
