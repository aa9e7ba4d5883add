-- Lease due deliveries. A: now, until, channels with their slots. Of a bundle all that are due.
-- Returns for each its fields, its notification's, and the user's preferences.
local now, until_, made = A[1], A[2], {}

local function lease(id)
  local key = P .. 'd:' .. id
  local d = whole(key, {'channel', 'bundle', 'status', 'notification_id', 'user_id'})
  call('HINCRBY', key, 'attempts', 1)
  call('HINCRBY', key, 'fence', 1)
  call('HSET', key, 'due_at', until_)
  turn(id, d, 'sending', now)
  put(id, d, until_)
  made[#made + 1] = {call('HGETALL', key), record(d.notification_id),
    call('GET', P .. 'preferences:' .. d.user_id)}
end

for _, slot in ipairs(A[3]) do
  local due, left = P .. 'due:' .. slot[1], slot[2]
  while left > 0 do
    local id = call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, 1)[1]
    if not id then break end
    left = left - 1
    local bundle = call('HGET', P .. 'd:' .. id, 'bundle')
    local ids = bundle and call('ZRANGEBYSCORE', P .. 'bundle:' .. bundle, '-inf', now) or {id}
    for _, each in ipairs(ids) do lease(each) end
  end
end
return made
