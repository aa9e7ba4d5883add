-- Store plain jobs, which are due at once and have neither parents, key nor limit; false if one is
-- there already. meta[3]: queues. meta[4]: jobs, each {id, queue, priority, aging, length}: of what
-- follows the three doubles in the body. Should memory be out, the first command is refused.
local queues, jobs = meta[3], meta[4]
local number = call('INCRBY', P .. 'seq', #jobs) - #jobs
local bodies, all, ready = {}, {}, {}
for i = 1, #queues do ready[i] = {} end
local at, pack, sub = 1, struct.pack, string.sub
for i, job in ipairs(jobs) do
  local id, length = job[1], job[5]
  number = number + 1
  local turn = turn_of(job[3], job[4], number, i)
  bodies[2 * i - 1] = P .. 'body:' .. id
  bodies[2 * i] = pack('>ddd', now, number, turn) .. sub(blob, at, at + length - 1)
  at = at + length
  all[2 * i - 1], all[2 * i] = number, id
  local list = ready[job[2]]
  local n = #list
  list[n + 1], list[n + 2] = turn, id
end
if call('MSETNX', unpack(bodies)) == 0 then return told({false}) end
many('ZADD', P .. 'all', all)
for i, queue in ipairs(queues) do
  local list = ready[i]
  many('ZADD', P .. 'ready:1:' .. queue, list)
  redis.pcall('HINCRBY', P .. 'counts', 'pending:' .. queue, #list / 2)
  wake(queue)
end
return told({now})
