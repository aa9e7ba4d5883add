-- A worker's step: take in how attempts ended, promote what is due, take back expired leases, claim.
-- meta[3] the worker, meta[4] seconds of a lease, meta[5] {queue, slots} each, meta[6] outcomes,
-- each {id, fence, kind, delay, progress, length of the result, of the error}, meta[7] held leases,
-- each {id, fence}, meta[8] limits by name, each {concurrency, starts, period}, meta[9] whether
-- leases are taken back, meta[10] the newest format that the worker reads.
local worker, lease, slots, outcomes, held = meta[3], meta[4], meta[5], meta[6], meta[7]
local limits, reclaims, FORMAT = meta[8], meta[9], meta[10]
local LEASES = P .. 'leases'
-- Numbers in commands are turned into text one by one: times are, once.
local NOW, UNTIL = exact(now), exact(now + lease)
-- A sorted set of few members is a list that each change walks, which for leases costs as much as the
-- rest of a step; of one with a member this long it is not. No job's id has a NUL.
local LONG = string.rep('\0', 65)

-- The first write is one that Redis does not refuse when its memory is full: what follows in a
-- script is then allowed too, and a full queue drains.
call('DEL', P .. '-')
for _, slot in ipairs(slots) do call('DEL', P .. 'wake:' .. slot[1]) end
call('ZADD', P .. 'workers', UNTIL, worker)
call('SETNX', P .. 'born', NOW)
call('ZADD', LEASES, 'NX', '+inf', LONG)
local born = call('GET', P .. 'born')

-- Outcomes. Most are the end of a job that nobody waits for: these go in batches.
local refused = {}
local ended, dropped, unlisted, completed, over = {}, {}, {}, {}, {}
local rates, kept, ends = {}, {}, {}

local function again(job, kind, delay, message)
  withdraw(job)
  leave_gate(job)
  local key = P .. 'job:' .. job.id
  if kind == 4 then
    call('HSET', key, 'a', job.a - 1)
  else
    if message then call('HSET', key, 'er', message) else call('HDEL', key, 'er') end
    job.r = now + delay
    call('HSET', key, 'r', job.r)
  end
  place(job)
end

local pcall, JOB = redis.pcall, P .. 'job:'
for i, outcome in ipairs(outcomes) do
  local id, kind = outcome[1], outcome[3]
  local result, message = bytes(outcome[6]), bytes(outcome[7])
  local key = JOB .. id
  local h = pcall('HMGET', key, 's', 'f', 'q', 'tl', 'u', 'gt', 'ch', 'er')
  if h[1] ~= 'processing' or tonumber(h[2]) ~= outcome[2] then
    refused[#refused + 1] = i - 1
  elseif kind == 1 and not h[5] and not h[6] and not h[7] then
    local queue, ttl = h[3], h[4] and num(h[4])
    ended[#ended + 1] = id
    rates[queue] = (rates[queue] or 0) + 1
    if ttl == 0 then
      local n = #dropped
      dropped[n + 1], dropped[n + 2] = key, P .. 'body:' .. id
      unlisted[#unlisted + 1] = id
      call('HSET', key, 's', 'completed')  -- a second outcome of this call finds it ended
    else
      kept[queue] = (kept[queue] or 0) + 1
      if result then
        call('HSET', key, 's', 'completed', 'e', NOW, 'g', '100', 'o', result)
      else
        call('HSET', key, 's', 'completed', 'e', NOW, 'g', '100')
      end
      if h[8] then call('HDEL', key, 'er') end
      add(completed, NOW, id)
      if ttl then
        ends[ttl] = ends[ttl] or exact(now + ttl)
        add(over, ends[ttl], id)
      end
    end
  else
    local job = load(id)
    if not job then
      call('ZREM', LEASES, id)
      refused[#refused + 1] = i - 1
    elseif kind == 1 then
      finish(job, 'completed', nil, result, 100)
    elseif kind == 2 then
      finish(job, 'failed', message, result, outcome[5])
    else
      again(job, kind, outcome[4], message)
    end
  end
end
many('ZREM', LEASES, ended)
many('ZADD', P .. 'completed', completed)
many('ZADD', P .. 'over', over)
many('DEL', nil, dropped)
many('ZREM', P .. 'all', unlisted)
for queue, number in pairs(rates) do
  note_completed(queue, number)
  count(queue, 'processing', -number)
  count(queue, 'completed', kept[queue] or 0)
end

-- Upkeep.
local due = call('ZRANGEBYSCORE', P .. 'delayed', '-inf', NOW, 'LIMIT', 0, BATCH)
many('ZREM', P .. 'delayed', due)
for _, id in ipairs(due) do
  local job = load(id)
  if job and job.s == 'delayed' then
    set_status(job, 'pending')
    make_ready(job)
  end
end
local expired = {}
if reclaims then
  expired = call('ZRANGEBYSCORE', LEASES, '-inf', '(' .. NOW, 'LIMIT', 0, BATCH)
end
for _, id in ipairs(expired) do
  local job = load(id)
  if not job or job.s ~= 'processing' then
    call('ZREM', LEASES, id)
  elseif job.a >= job.m then
    finish(job, 'failed', 'LeaseExpired: the worker vanished in attempt ' .. job.a)
  else
    withdraw(job)
    leave_gate(job)
    job.r = nil
    call('HDEL', P .. 'job:' .. id, 'r')
    place(job)
  end
end

-- Limits: the algorithm is the memory broker's. What finds no room is held back, out of the way of
-- later claims; of each queue at most one at a gate is let out at a time, and waits for its claim or
-- its time.
local function hold_back(job, gate)
  local line = line_of(gate, job.q)
  call('HSET', P .. 'job:' .. job.id, 'gt', gate)
  call('ZADD', P .. 'held:' .. line, job.t, job.id)
  call('SADD', P .. 'lines:' .. gate, job.q)
  call('ZADD', P .. 'parked', job.x, job.id)
  if call('GET', P .. 'next:' .. line) == job.id then call('DEL', P .. 'next:' .. line) end
end

-- Whether one of the same queue comes first that was held back before, or has just been let out.
local function is_behind(job, gate)
  local line = line_of(gate, job.q)
  local out = call('GET', P .. 'next:' .. line)
  if out == job.id then return false end
  local function comes_first(id)
    local other = load(id)
    return other and other.s == 'pending' and other.t < job.t
  end
  local best = call('ZRANGE', P .. 'held:' .. line, 0, 0)[1]
  return (out and comes_first(out)) or (best and comes_first(best))
end

local function due_of(gate, starts, period)
  call('LTRIM', P .. 'starts:' .. gate, -starts, -1)
  if call('LLEN', P .. 'starts:' .. gate) < starts then return now end
  return math.max(now, tonumber(call('LINDEX', P .. 'starts:' .. gate, 0)) + period)
end

-- Whether a job of a limited name, or that stands at a gate, may run now.
local function passes(id, limit)
  local job = load(id)
  if not job then return true end  -- the worker will see that it cannot be read
  local function enter(gate)
    job.gt = gate
    leave_gate(job)
    call('HSET', P .. 'job:' .. id, 'gt', gate)
    call('SADD', P .. 'run:' .. gate, id)
    return true
  end
  if not limit then return enter(job.gt) end
  local gate = #job.n .. ':' .. job.n .. ':' .. (job.k or '')
  local concurrency, starts, period = limit[1], limit[2], limit[3]
  if concurrency and call('SCARD', P .. 'run:' .. gate) >= concurrency then
    hold_back(job, gate)
    return false
  end
  if is_behind(job, gate) then
    hold_back(job, gate)
    let_out(gate)
    return false
  end
  local at = starts and due_of(gate, starts, period) or now
  if at > now then
    local line = line_of(gate, job.q)
    local first = call('GET', P .. 'next:' .. line)
    if first and first ~= id then
      hold_back(job, gate)
      return false
    end
    call('SET', P .. 'next:' .. line, id)
    call('HSET', P .. 'job:' .. id, 'gt', gate, 'r', at)
    job.r = at
    place(job)
    return false
  end
  if starts then
    call('RPUSH', P .. 'starts:' .. gate, NOW)
    call('PEXPIRE', P .. 'starts:' .. gate, math.ceil(period * 1000) + 60000)
  end
  return enter(gate)
end

-- Claims. A claimed job is told by its attempts, fence, run_at and progress, and three strings: its
-- id, its body and the last error.
local limited, WORDS = next(limits) ~= nil, {'1', '2', '3'}
local leased = {}

-- Whether a popped job may be handed out.
local function is_free(id, body, h, turn, queue)
  local name
  if limited then
    local head = head_of(body)
    name = head and head.n
  end
  local limit = name and limits[name]
  if h[1] and h[1] ~= 'pending' then return false end
  if #body >= 26 and struct.unpack('>H', body, 25) > FORMAT then
    -- of a later release, for whose workers it waits
    call('ZADD', P .. 'ready:' .. struct.unpack('>H', body, 25) .. ':' .. queue, turn, id)
    return false
  end
  return (not limit and not h[4]) or passes(id, limit)
end

local function lease_out(id, body, h, queue)
  local attempts, fence = h[2] and num(h[2], 0) + 1 or 1, h[3] and num(h[3], 0) + 1 or 1
  local key, ttl = JOB .. id, #body >= 42 and struct.unpack('>d', body, 35) or -1
  local a, f = WORDS[attempts] or attempts, WORDS[fence] or fence
  if ttl >= 0 then
    WORDS[ttl] = WORDS[ttl] or exact(ttl)
    call('HSET', key, 's', 'processing', 'a', a, 'f', f, 'st', NOW, 'w', worker, 'q', queue,
         'tl', WORDS[ttl])
  else
    call('HSET', key, 's', 'processing', 'a', a, 'f', f, 'st', NOW, 'w', worker, 'q', queue)
  end
  local n, s = #leased, #strings
  leased[n + 1], leased[n + 2] = UNTIL, id
  strings[s + 1], strings[s + 2], strings[s + 3] = id, body, h[6] or ''
  numbers[#numbers + 1] = {
    attempts, fence, num(h[5], -1), num(h[7], -1), #id, #body, h[6] and #h[6] or -1
  }
end

local function claim(queue, free)
  local ready = P .. 'ready:' .. FORMAT .. ':' .. queue
  local asked = free
  while free > 0 do
    local popped = call('ZPOPMIN', ready, math.min(free, BATCH))
    if #popped == 0 then break end
    local keys = {}
    for i = 1, #popped, 2 do keys[#keys + 1] = P .. 'body:' .. popped[i] end
    local bodies = call('MGET', unpack(keys))
    for i, body in ipairs(bodies) do
      local id = popped[2 * i - 1]
      local h = fields(id, 's', 'a', 'f', 'gt', 'r', 'er', 'g')
      if not body then
        -- somebody has deleted it
        call('DEL', JOB .. id)
        call('ZREM', P .. 'all', id)
        count(queue, 'pending', -1)
      elseif is_free(id, body, h, popped[2 * i], queue) then
        lease_out(id, body, h, queue)
        free = free - 1
      end
    end
  end
  count(queue, 'pending', free - asked)
  count(queue, 'processing', asked - free)
end

for _, slot in ipairs(slots) do
  local queue = slot[1]
  if call('SISMEMBER', P .. 'paused', queue) == 0 then
    claim(queue, slot[2])
    -- others are woken one by one, as long as there is more than one takes
    woken[queue] = call('ZCARD', P .. 'ready:' .. FORMAT .. ':' .. queue) > 0 or nil
  end
end
many('ZADD', LEASES, leased)

local lost = {}
for i, each in ipairs(held) do
  local h = fields(each[1], 's', 'f')
  if h[1] ~= 'processing' or tonumber(h[2]) ~= each[2] then add(lost, i - 1) end
end

local next_due = -1
local function sooner(key)
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
  if first and first ~= 'inf' then
    local left = math.max(0, tonumber(first) - now)
    if next_due < 0 or left < next_due then next_due = left end
  end
end
sooner(P .. 'delayed')
if reclaims then sooner(LEASES) end
write_counts()
ring()
return told({now, refused, lost, next_due, tonumber(born), numbers})
