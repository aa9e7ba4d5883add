-- What people do to jobs and queues. meta[3] says what.
-- cancel, retry, remove: meta[4] ids. spoil: meta[4] ids that cannot be read, meta[5] why, each.
-- purge: meta[4] statuses, meta[5] before when, meta[6] how many at most. pause, resume: meta[4].
call('DEL', P .. '-')  -- as in step: none of this is refused when memory is full
local what, number = meta[3], 0

local function retry(job)
  if job.s ~= 'failed' and job.s ~= 'cancelled' then return false end
  if job.u then
    local holder = call('HGET', P .. 'unique', job.u)
    if holder and holder ~= job.id then return false end
    call('HSET', P .. 'unique', job.u, job.id)
  end
  withdraw(job)
  call('HDEL', P .. 'job:' .. job.id, 'a', 'r', 'e')
  job.r = nil
  place(job)
  return true
end

local function remove(job)
  if job.s == 'processing' then return false end
  if not FINAL[job.s] then finish(job, 'cancelled') end
  withdraw(job)
  drop(job)
  return true
end

local function cancel(job)
  if FINAL[job.s] then return false end
  finish(job, 'cancelled', fields(job.id, 'er')[1] or nil)
  return true
end

local function spoil(id, why)
  local job = load(id)
  if job then
    finish(job, 'failed', why)
  elseif call('ZREM', P .. 'leases', id) == 1 then
    -- not even its head can be read
    local queue = fields(id, 'q')[1] or ''
    count(queue, 'processing', -1)
    count(queue, 'failed', 1)
    call('HSET', P .. 'job:' .. id, 's', 'failed', 'er', why)
    call('ZADD', P .. 'failed', now, id)
  end
end

local function purge(key, before)
  local ids = call('ZRANGEBYSCORE', key, '-inf', '(' .. exact(before), 'LIMIT', 0, meta[6] - number)
  for _, id in ipairs(ids) do
    local job = load(id)
    if job and FINAL[job.s] then
      remove(job)
      number = number + 1
    else
      call('ZREM', key, id)
    end
  end
end

local ACTIONS = {cancel = cancel, retry = retry, remove = remove}
if ACTIONS[what] then
  for i, id in ipairs(meta[4]) do
    local job = load(id)
    if job and ACTIONS[what](job) then number = number + 1 end
  end
elseif what == 'spoil' then
  for i, id in ipairs(meta[4]) do spoil(id, meta[5][i]) end
elseif what == 'purge' then
  purge(P .. 'over', now)
  for _, status in ipairs(meta[4]) do purge(P .. status, meta[5]) end
elseif what == 'pause' then
  call('SADD', P .. 'paused', meta[4])
elseif what == 'resume' then
  call('SREM', P .. 'paused', meta[4])
  woken[meta[4]] = true
end
write_counts()
ring()
return told({number})
