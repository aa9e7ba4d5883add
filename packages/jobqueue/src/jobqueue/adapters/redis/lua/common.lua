local BATCH = 1000
local FINAL = {completed = true, failed = true, cancelled = true}

local taken = 0
-- The next byte string of the blob; nil for a length below 0.
local function bytes(length)
  if length < 0 then return nil end
  local first = taken + 1
  taken = taken + length
  return string.sub(blob, first, taken)
end

local function exact(number)
  return string.format('%.17g', number)
end

-- A stored number; the second one in place of what is none. Whoever can write to Redis can write
-- anything: a script must not stop in its middle for it.
local function num(text, otherwise)
  local value = tonumber(text)
  if not value or value ~= value or math.abs(value) > 2 ^ 53 then
    return otherwise
  end
  return value
end

-- Fields of a job; empty where the key is something else.
local function fields(id, ...)
  local found = redis.pcall('HMGET', P .. 'job:' .. id, ...)
  if not found.err then return found end
  call('DEL', P .. 'job:' .. id)
  return {}
end

local function add(list, a, b)
  local n = #list
  list[n + 1] = a
  if b ~= nil then list[n + 2] = b end
end

-- How many jobs a queue has of a status: noted here, written once at the end of the script.
local changes = {}
local function count(queue, status, by)
  local field = status .. ':' .. queue
  changes[field] = (changes[field] or 0) + by
end

local woken = {}
local function write_counts()
  for field, by in pairs(changes) do
    if by ~= 0 then
      local made = redis.pcall('HINCRBY', P .. 'counts', field, by)
      if type(made) == 'table' or made <= 0 then call('HDEL', P .. 'counts', field) end
    end
  end
end

local function ring()
  for queue in pairs(woken) do wake(queue) end
end

-- What the head of a body says; nil where there is none that we can read.
local HEAD, LONGEST = '>dddHddHH', 46 + 2 * 4 * 200
local function head_of(body)
  if type(body) ~= 'string' or #body < 46 then return nil end
  local c, x, t, v, m, tl, lq, ln, at = struct.unpack(HEAD, body)
  if #body < at - 1 + lq + ln then return nil end
  local ttl = tl >= 0 and tl or nil
  local q, n = string.sub(body, at, at + lq - 1), string.sub(body, at + lq, at + lq + ln - 1)
  return {c = c, x = x, t = num(t, 0), v = v, m = m, tl = ttl, q = q, n = n}
end

local NAMES = {'s', 'f', 'a', 'r', 'u', 'gt', 'ch', 'wt', 'pf', 'k'}
local function load(id)
  local job = head_of(redis.pcall('GETRANGE', P .. 'body:' .. id, 0, LONGEST))
  if not job then return nil end
  local values = fields(id, unpack(NAMES))
  job.id = id
  for i, name in ipairs(NAMES) do job[name] = values[i] or nil end
  job.s, job.a, job.r, job.wt = job.s or 'pending', num(job.a, 0), num(job.r), num(job.wt)
  return job
end

local function set_status(job, status)
  count(job.q, job.s, -1)
  count(job.q, status, 1)
  job.s = status
  if job.tl then
    call('HSET', P .. 'job:' .. job.id, 's', status, 'q', job.q, 'tl', job.tl)
  else
    call('HSET', P .. 'job:' .. job.id, 's', status, 'q', job.q)
  end
end

local function make_ready(job)
  call('ZADD', P .. 'ready:' .. job.v .. ':' .. job.q, job.t, job.id)
  woken[job.q] = true
end

-- A job waits for its time, or for a worker.
local function place(job)
  if job.r and job.r > now then
    set_status(job, 'delayed')
    call('ZADD', P .. 'delayed', job.r, job.id)
  else
    set_status(job, 'pending')
    make_ready(job)
  end
end

-- Take a job out of wherever it waits or runs.
local function withdraw(job)
  local id, status = job.id, job.s
  if status == 'processing' then
    call('ZREM', P .. 'leases', id)
    call('HDEL', P .. 'job:' .. id, 'w')
  elseif status == 'pending' then
    if call('ZREM', P .. 'ready:' .. job.v .. ':' .. job.q, id) == 0 then
      call('ZREM', P .. 'parked', id)
    end
  elseif status == 'delayed' then
    if call('ZREM', P .. 'delayed', id) == 0 then call('ZREM', P .. 'blocked', id) end
  else
    call('ZREM', P .. status, id)
    call('ZREM', P .. 'over', id)
  end
end

-- Where the jobs of one queue wait at a gate: names have no line breaks.
local function line_of(gate, queue)
  return gate .. '\n' .. queue
end

-- Let the best of those of a queue that are held back at a gate out of it, unless one is out
-- already; whether others wait behind it.
local function let_one_out(line)
  while call('EXISTS', P .. 'next:' .. line) == 0 do
    local best = call('ZPOPMIN', P .. 'held:' .. line)[1]
    if not best then return false end
    local other = load(best)
    if other and other.s == 'pending' then
      call('SET', P .. 'next:' .. line, best)
      call('ZREM', P .. 'parked', best)
      make_ready(other)
    end
  end
  return true
end

-- One of each queue: one that is paused, or that no worker serves, does not hold up others.
local function let_out(gate)
  for _, queue in ipairs(call('SMEMBERS', P .. 'lines:' .. gate)) do
    if not let_one_out(line_of(gate, queue)) then call('SREM', P .. 'lines:' .. gate, queue) end
  end
end

-- A job that stands at a gate runs no more, or will not.
local function leave_gate(job)
  local gate, id = job.gt, job.id
  if not gate then return end
  job.gt = nil
  call('HDEL', P .. 'job:' .. id, 'gt')
  call('SREM', P .. 'run:' .. gate, id)
  local line = line_of(gate, job.q)
  call('ZREM', P .. 'held:' .. line, id)
  if call('GET', P .. 'next:' .. line) == id then call('DEL', P .. 'next:' .. line) end
  let_out(gate)
end

local function release_key(job)
  if job.u and call('HGET', P .. 'unique', job.u) == job.id then
    call('HDEL', P .. 'unique', job.u)
  end
end

local function drop(job)
  call('DEL', P .. 'job:' .. job.id, P .. 'body:' .. job.id, P .. 'children:' .. job.id,
       P .. 'parents:' .. job.id)
  call('ZREM', P .. 'all', job.id)
  count(job.q, job.s, -1)
end

-- Completed jobs of the last minute, in counters of five seconds each.
local function note_completed(queue, number)
  local key = P .. 'rate:' .. math.floor(now / 5)
  call('HINCRBY', key, queue, number)
  call('EXPIRE', key, 75)
end

-- Whether a child still waits for a parent; not if another job of its id did, and was deleted. Those
-- of releases that kept no parents are believed.
local function waits_for(child, parent)
  local key = P .. 'parents:' .. child
  return call('EXISTS', key) == 0 or call('SREM', key, parent) == 1
end

-- Set final statuses, down the line of those that depend on each other.
local function finish(first, status, message, result, progress)
  local line = {{first, status, message, result, progress}}
  local at, seen = 0, {}
  while at < #line do
    at = at + 1
    local job, to, text, value, reached = unpack(line[at], 1, 5)
    if not FINAL[job.s] and not seen[job.id] then
      seen[job.id] = true
      withdraw(job)
      leave_gate(job)
      release_key(job)
      set_status(job, to)
      local key = P .. 'job:' .. job.id
      call('HSET', key, 'e', now)
      if text then call('HSET', key, 'er', text) else call('HDEL', key, 'er') end
      if value then call('HSET', key, 'o', value) end
      if reached then call('HSET', key, 'g', reached) end
      if job.wt then
        call('HDEL', key, 'wt')
        call('DEL', P .. 'parents:' .. job.id)
      end
      if job.ch then
        for _, id in ipairs(call('SMEMBERS', P .. 'children:' .. job.id)) do
          local child = waits_for(id, job.id) and load(id)
          if child and child.wt and child.wt > 0 and not FINAL[child.s] then
            local policy = child.pf or 'fail'
            if to ~= 'completed' and policy ~= 'run' then
              local said = "ParentFailed: job '" .. job.id .. "' " .. to
              add(line, {child, policy == 'fail' and 'failed' or 'cancelled', said})
            else
              call('HSET', P .. 'job:' .. id, 'wt', child.wt - 1)
              if child.wt == 1 then
                call('ZREM', P .. 'blocked', id)
                place(child)
              end
            end
          end
        end
        call('DEL', P .. 'children:' .. job.id)
        call('HDEL', key, 'ch')
      end
      if to == 'completed' then note_completed(job.q, 1) end
      if to == 'completed' and job.tl == 0 then
        drop(job)
      else
        call('ZADD', P .. to, now, job.id)
        if job.tl and to ~= 'failed' then call('ZADD', P .. 'over', now + job.tl, job.id) end
      end
    end
  end
end

-- Jobs for the client: numbers and lengths in one array, the bytes in another. It reads the rest at
-- the head of the body.
local TOLD = {'a', 'f', 'r', 'st', 'e', 'g', 's', 'w', 'o', 'er'}
local numbers = {}
local function tell(id)
  local body = redis.pcall('GET', P .. 'body:' .. id)
  if type(body) ~= 'string' then return false end
  local values = fields(id, unpack(TOLD))
  local row = {}
  for i = 1, 6 do row[i] = num(values[i], -1) end
  row[7] = num(values[7] == 'processing' and call('ZSCORE', P .. 'leases', id), -1)
  local texts = {id, body, values[7], values[8], values[9], values[10]}
  for i = 1, 6 do
    local text = texts[i]
    row[7 + i] = text and #text or -1
    if text then strings[#strings + 1] = text end
  end
  numbers[#numbers + 1] = row
  return true
end
