-- Store one plain job: what `add` does, for calls of which the round trip is all that counts. Stands
-- alone, with no more than it needs. ARGV: the time or '', seconds ahead, id, queue, priority, aging,
-- what follows the three doubles in the body. '' if the job is there already.
local call, P = redis.call, KEYS[1] .. ':'
local id, queue = ARGV[3], ARGV[4]
local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] + time[2] / 1e6
end
now = now + ARGV[2]
local number = call('INCR', P .. 'seq')
local turn = -ARGV[5] * 2 ^ 42 + number
if ARGV[6] ~= '0.0' then turn = 2 ^ 52 + math.floor((now - ARGV[5] * ARGV[6]) * 1e6) end
if call('SETNX', P .. 'body:' .. id, struct.pack('>ddd', now, number, turn) .. ARGV[7]) == 0 then
  return ''
end
call('ZADD', P .. 'all', number, id)
call('ZADD', P .. 'ready:1:' .. queue, turn, id)
redis.pcall('HINCRBY', P .. 'counts', 'pending:' .. queue, 1)
local token = P .. 'wake:' .. queue
if call('EXISTS', token) == 0 and call('SISMEMBER', P .. 'paused', queue) == 0 then
  call('LPUSH', token, 1)
end
return struct.pack('>d', now)
