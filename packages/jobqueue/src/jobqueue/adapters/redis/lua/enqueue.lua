-- Store jobs, all or none: should memory be out, the first command is refused already.
-- meta[3]: jobs, each {id, queue, format, priority, aging, delay, run_at, result_ttl, unique key,
-- parents, on_parent_failure, limit key, length of what follows the three doubles in the body}.
-- With meta[4], meta[5]: only if the cron entry of that name has not come as far as that time.
local jobs = meta[3]
if meta[4] then
  local reached = tonumber(call('HGET', P .. 'ticks', meta[4]))
  if reached and reached >= meta[5] then return told({false, {}, {}}) end
  call('HSET', P .. 'ticks', meta[4], meta[5])
end
local seq = #jobs > 0 and call('INCRBY', P .. 'seq', #jobs) - #jobs or 0
local reasons = {}

local function known(job)
  if call('EXISTS', P .. 'body:' .. job[1]) == 1 then return 2, job[1] end
  local holder = job[9] and call('HGET', P .. 'unique', job[9])
  if holder and call('EXISTS', P .. 'body:' .. holder) == 1 then return 3, holder end
end

-- The statuses of a job's parents; nil if one is not there.
local function statuses(parents)
  local found = {}
  for i, id in ipairs(parents) do
    local parent = load(id)
    if not parent then return nil end
    found[i] = parent.s
  end
  return found
end

-- A job with parents waits for those that have not ended, and suffers from those that failed.
local function bind(made, job, found)
  local waits, seen = 0, {}
  for i, parent in ipairs(job[10]) do
    if not FINAL[found[i]] and not seen[parent] then
      seen[parent] = true
      waits = waits + 1
      call('SADD', P .. 'children:' .. parent, made.id)
      call('SADD', P .. 'parents:' .. made.id, parent)
      call('HSET', P .. 'job:' .. parent, 'ch', 1)
    end
  end
  call('HSET', P .. 'job:' .. made.id, 'pf', job[11], 'wt', waits)
  made.pf, made.wt = job[11], waits
  if waits > 0 then
    set_status(made, 'delayed')
    call('ZADD', P .. 'blocked', made.x, made.id)
  else
    place(made)
  end
  for i, parent in ipairs(job[10]) do
    if (found[i] == 'failed' or found[i] == 'cancelled') and job[11] ~= 'run' then
      local said = "ParentFailed: job '" .. parent .. "' " .. found[i]
      finish(made, job[11] == 'fail' and 'failed' or 'cancelled', said)
      return
    end
  end
end

local function store(job, i, rest, found)
  local id, queue, number = job[1], job[2], seq + i
  local turn = turn_of(job[4], job[5], number, i)
  call('SET', P .. 'body:' .. id, struct.pack('>ddd', now, number, turn) .. rest)
  call('ZADD', P .. 'all', number, id)
  local made = load(id)
  made.r = job[7] or (job[6] > 0 and now + job[6]) or nil
  count(queue, 'pending', 1)
  local key = P .. 'job:' .. id
  if made.r then call('HSET', key, 'r', made.r) end
  if job[12] then call('HSET', key, 'k', job[12]) end
  if job[9] then
    made.u = job[9]
    call('HSET', key, 'u', job[9])
    call('HSET', P .. 'unique', job[9], id)
  end
  if #job[10] > 0 then bind(made, job, found) else place(made) end
  return made.s
end

local CODES = {pending = 0, delayed = 1, failed = 5, cancelled = 6}
for i, job in ipairs(jobs) do
  local rest = bytes(job[13])
  local reason, other = known(job)
  local found = not reason and statuses(job[10])
  if reason then
    tell(other)
  elseif not found then
    reason = 4
  else
    reason = CODES[store(job, i, rest, found)]
    if reason > 1 then tell(job[1]) end
  end
  reasons[i] = reason
end
write_counts()
ring()
return told({now, reasons, numbers})
