-- KEYS[1]: what all keys begin with. ARGV[1]: what the script is told, in MessagePack.
-- Numbers that are times come and go as text: JSON and Lua would round them.
local P = KEYS[1] .. ':'
local A = cmsgpack.unpack(ARGV[1])
local call = redis.call
local OPEN = {pending = true, sending = true}

local function whole(key, names)
  local found, made = call('HMGET', key, unpack(names)), {}
  for i, name in ipairs(names) do made[name] = found[i] end
  return made
end

local function count(status, by)
  if call('HINCRBY', P .. 'status', status, by) == 0 then call('HDEL', P .. 'status', status) end
end

-- Keep what workers look for in step with a delivery.
local function put(id, d, due)
  call('ZADD', P .. 'due:' .. d.channel, due, id)
  call('SADD', P .. 'channels', d.channel)
  if d.bundle then call('ZADD', P .. 'bundle:' .. d.bundle, due, id) end
end

local function pull(id, d)
  call('ZREM', P .. 'due:' .. d.channel, id)
  if d.bundle then call('ZREM', P .. 'bundle:' .. d.bundle, id) end
end

local function sent_as(provider, id) return provider .. '\0' .. id end

local function delivery(id)
  return whole(P .. 'd:' .. id,
    {'channel', 'bundle', 'status', 'fence', 'provider', 'provider_id', 'notification_id'})
end

local function turn(id, d, status, at)
  count(d.status, -1)
  count(status, 1)
  call('HSET', P .. 'd:' .. id, 'status', status, 'updated_at', at)
  if OPEN[d.status] and not OPEN[status] then pull(id, d) end
end

-- Add to a user's sequence what happened; the number was taken before.
local function tell(user, seq, kind, at, note, category, before)
  local unread = call('ZCARD', P .. 'unread:' .. user)
  local event = cjson.encode({seq, kind, unread, at, note or cjson.null, category or cjson.null,
    before or cjson.null})
  call('ZADD', P .. 'events:' .. user, seq, event)
  if note then call('RPUSH', P .. 'told:' .. note, seq) end
end

local function number(user) return call('INCR', P .. 'seq:' .. user) end

local function show(id, user, at)
  local note = whole(P .. 'n:' .. id, {'seq', 'read_at', 'archived_at'})
  if note.seq then return end
  local seq = number(user)
  call('HSET', P .. 'n:' .. id, 'seq', seq)
  call('ZADD', P .. 'box:' .. user, seq, id)
  if not note.read_at and not note.archived_at then
    call('ZADD', P .. 'unread:' .. user, seq, id)
  end
  tell(user, seq, 'created', at, id)
  return seq
end

local function cancel(note, at)
  for _, id in ipairs(call('LRANGE', P .. 'of:' .. note, 0, -1)) do
    local d = delivery(id)
    if d.status == 'pending' then
      turn(id, d, 'cancelled', at)
      call('HSET', P .. 'd:' .. id, 'reason', 'read')
    end
  end
end

-- Remove a notification with its deliveries, and its events where they are to go too.
local function forget(id, events)
  local note = whole(P .. 'n:' .. id, {'user_id', 'idempotency_key', 'seq'})
  local user = note.user_id
  if note.idempotency_key then call('HDEL', P .. 'keys:' .. user, note.idempotency_key) end
  for _, each in ipairs(call('LRANGE', P .. 'of:' .. id, 0, -1)) do
    local d = delivery(each)
    count(d.status, -1)
    pull(each, d)
    if d.provider and d.provider_id then
      call('HDEL', P .. 'sent', sent_as(d.provider, d.provider_id))
    end
    call('ZREM', P .. 'all', each)
    call('DEL', P .. 'd:' .. each)
  end
  if events then
    for _, seq in ipairs(call('LRANGE', P .. 'told:' .. id, 0, -1)) do
      call('ZREMRANGEBYSCORE', P .. 'events:' .. user, seq, seq)
    end
    call('DEL', P .. 'told:' .. id)
  end
  call('ZREM', P .. 'box:' .. user, id)
  call('ZREM', P .. 'unread:' .. user, id)
  call('SREM', P .. 'notes:' .. user, id)
  call('ZREM', P .. 'fresh', id)
  call('ZREM', P .. 'done', id)
  call('DEL', P .. 'n:' .. id, P .. 'of:' .. id)
end

-- Record how an attempt ended, if it is still held. v: id, fence, status, reason, due, attempts,
-- provider, provider's id, history.
local function settle(v, at)
  local id, d = v[1], delivery(v[1])
  if d.status ~= 'sending' or d.fence ~= v[2] then return false end
  turn(id, d, v[3], at)
  local key = P .. 'd:' .. id
  call('HSET', key, 'due_at', v[5], 'attempts', v[6], 'history', v[9])
  for name, value in pairs({reason = v[4], provider = v[7], provider_id = v[8]}) do
    if value then call('HSET', key, name, value) else call('HDEL', key, name) end
  end
  if v[7] and v[8] then call('HSET', P .. 'sent', sent_as(v[7], v[8]), id) end
  if v[3] == 'pending' then put(id, d, v[5]) end
  return true
end

local function record(id) return call('HGETALL', P .. 'n:' .. id) end
