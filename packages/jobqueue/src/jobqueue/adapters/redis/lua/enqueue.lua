-- Store jobs, all or none: should memory be out, the first command is refused already.
-- meta[3]: jobs, each {id, name, queue, format, priority, aging, delay, run_at, max_attempts,
-- result_ttl, unique key, parents, on_parent_failure, limit key, length of the body}.
-- With meta[4], meta[5]: only if the cron entry of that name has not come as far as that time.
local jobs = meta[3]
if meta[4] then
  local reached = tonumber(call('HGET', P .. 'ticks', meta[4]))
  if reached and reached >= meta[5] then return told({false, {}, {}}) end
  call('HSET', P .. 'ticks', meta[4], meta[5])
end
local seq = #jobs > 0 and call('INCRBY', P .. 'seq', #jobs) - #jobs or 0
local all, bodies, ready = {}, {}, {}
local reasons = {}

local function known(job)
  if call('EXISTS', P .. 'job:' .. job[1]) == 1 then return 2, job[1] end
  local holder = job[11] and call('HGET', P .. 'unique', job[11])
  if holder and call('EXISTS', P .. 'job:' .. holder) == 1 then return 3, holder end
end

-- The statuses of a job's parents; nil if one is not there.
local function statuses(parents)
  local found = {}
  for i, parent in ipairs(parents) do
    found[i] = fields(parent, 's')[1]
    if not found[i] then return nil end
  end
  return found
end

local function turn_of(job, number, i)
  if job[6] > 0 then
    -- after all without aging; microseconds, and the order within one call
    return 2 ^ 52 + math.floor((now - job[5] * job[6]) * 1e6) + i
  end
  return -job[5] * 2 ^ 42 + number
end

-- A job with parents waits for those that have not ended, and suffers from those that failed.
local function bind(made, job, found)
  local waits, seen = 0, {}
  for i, parent in ipairs(job[12]) do
    if not FINAL[found[i]] and not seen[parent] then
      seen[parent] = true
      waits = waits + 1
      call('SADD', P .. 'children:' .. parent, made.id)
      call('HSET', P .. 'job:' .. parent, 'ch', 1)
    end
  end
  call('HSET', P .. 'job:' .. made.id, 'pf', job[13], 'wt', waits)
  made.pf, made.wt = job[13], waits
  if waits > 0 then
    set_status(made, 'delayed')
    call('ZADD', P .. 'blocked', made.x, made.id)
  else
    place(made)
  end
  for i, parent in ipairs(job[12]) do
    if (found[i] == 'failed' or found[i] == 'cancelled') and job[13] ~= 'run' then
      local said = "ParentFailed: job '" .. parent .. "' " .. found[i]
      finish(made, job[13] == 'fail' and 'failed' or 'cancelled', said)
      return
    end
  end
end

local function store(job, i, body, found)
  local id, queue, number = job[1], job[3], seq + i
  local made = {id = id, q = queue, v = job[4], x = number, t = turn_of(job, number, i), s = 'pending'}
  local due = job[8]
  if not due and job[7] > 0 then due = now + job[7] end
  if due then made.r = due end
  local fields = {
    'x', number, 'v', job[4], 'n', job[2], 'q', queue, 't', made.t, 's', 'pending', 'c', now,
    'm', job[9]
  }
  if due then add(fields, 'r', due) end
  if job[10] then add(fields, 'tl', job[10]); made.tl = job[10] end
  if job[11] then
    add(fields, 'u', job[11])
    made.u = job[11]
    call('HSET', P .. 'unique', job[11], id)
  end
  if job[14] then add(fields, 'k', job[14]) end
  local parents = job[12]
  local waits = #parents > 0 or (due and due > now)
  call('HSET', P .. 'job:' .. id, unpack(fields))
  add(all, number, id)
  add(bodies, P .. 'body:' .. id, body)
  count(queue, 'pending', 1)
  if #parents > 0 then
    bind(made, job, found)
  elseif waits then
    place(made)
  else
    local list = ready[job[4] .. ':' .. queue]
    if not list then list = {}; ready[job[4] .. ':' .. queue] = list end
    add(list, made.t, id)
    woken[queue] = true
  end
  return made.s
end

local CODES = {pending = 0, delayed = 1, failed = 5, cancelled = 6}
for i, job in ipairs(jobs) do
  local body = bytes(job[15])
  local reason, other = known(job)
  local found = not reason and statuses(job[12])
  if reason then
    -- written already, perhaps by this very call: its body must be there to be told
    many('MSET', nil, bodies)
    bodies = {}
    tell(other)
  elseif not found then
    reason = 4
  else
    reason = CODES[store(job, i, body, found)]
    if reason > 1 then
      many('MSET', nil, bodies)
      bodies = {}
      tell(job[1])
    end
  end
  reasons[i] = reason
end
many('MSET', nil, bodies)
many('ZADD', P .. 'all', all)
for key, list in pairs(ready) do many('ZADD', P .. 'ready:' .. key, list) end
write_counts()
ring()
return told({now, reasons, numbers})
