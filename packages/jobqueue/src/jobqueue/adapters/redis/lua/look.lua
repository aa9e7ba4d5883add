-- Questions that change nothing. meta[3] says which.
-- get: meta[4] id. list: meta[4] {name, queue, statuses, created after, before}, meta[5] how many,
-- meta[6] numbers below which. stats: meta[4] queue. queues. tick: meta[4] name. time.
local what = meta[3]
local SEARCHED, GATHERED = 5000, 5000
local answer

local function queues()
  local found = {}
  local fields = call('HKEYS', P .. 'counts')
  for _, field in ipairs(fields) do found[string.sub(field, string.find(field, ':', 1, true) + 1)] = false end
  for _, queue in ipairs(call('SMEMBERS', P .. 'paused')) do found[queue] = true end
  return found
end

-- The sorted sets that hold the jobs of a status.
local function places(status)
  if status == 'pending' then
    local keys = {P .. 'parked'}
    for queue in pairs(queues()) do add(keys, P .. 'ready:' .. meta[7] .. ':' .. queue) end
    return keys
  end
  if status == 'delayed' then return {P .. 'delayed', P .. 'blocked'} end
  return {P .. (status == 'processing' and 'leases' or status)}
end

local function matches(id, filters)
  local job = load(id)
  if not job or job.v > meta[7] then return false end
  if (filters[1] and filters[1] ~= job.n) or (filters[2] and filters[2] ~= job.q) then return false end
  if (filters[4] and job.c < filters[4]) or (filters[5] and job.c >= filters[5]) then return false end
  if #filters[3] == 0 then return true end
  for _, status in ipairs(filters[3]) do
    if status == job.s then return true end
  end
  return false
end

-- Where few jobs have the statuses asked for: their numbers and ids, newest first. Else nil.
local function gathered(statuses, below)
  local keys, size = {}, 0
  for _, status in ipairs(statuses) do
    for _, key in ipairs(places(status)) do
      add(keys, key)
      size = size + call('ZCARD', key)
    end
  end
  if #statuses == 0 or size > GATHERED then return nil end
  local found = {}
  for _, key in ipairs(keys) do
    for _, id in ipairs(call('ZRANGE', key, 0, -1)) do
      local job = load(id)
      if job and job.x < below then add(found, {job.x, id}) end
    end
  end
  table.sort(found, function(a, b) return a[1] > b[1] end)
  return found
end

-- Returns the number to go on below, -1 at the end.
local function list(filters, limit, below)
  local few = gathered(filters[3], below)
  if few then
    for _, each in ipairs(few) do
      if matches(each[2], filters) then
        if #numbers == limit then return below end
        if tell(each[2]) then below = each[1] end
      end
    end
    return -1
  end
  local looked = 0
  while looked < SEARCHED do
    local ids = call('ZREVRANGEBYSCORE', P .. 'all', '(' .. exact(below), '-inf', 'WITHSCORES', 'LIMIT', 0, 500)
    if #ids == 0 then return -1 end
    for i = 1, #ids, 2 do
      looked = looked + 1
      if matches(ids[i], filters) then
        if #numbers == limit then return below end
        tell(ids[i])
      end
      below = tonumber(ids[i + 1])
    end
  end
  return below
end

-- When the pending job that has waited longest became due: it is among the first of a priority.
local function oldest(queue)
  local found = -1
  for name in pairs(queues()) do
    local key, from = P .. 'ready:' .. meta[7] .. ':' .. name, '-inf'
    while not queue or queue == name do
      local first = call('ZRANGEBYSCORE', key, from, '+inf', 'WITHSCORES', 'LIMIT', 0, 10)
      if #first == 0 then break end
      for i = 1, #first, 2 do
        local job = load(first[i])
        local since = job and (job.r or job.c)
        if since and (found < 0 or since < found) then found = since end
      end
      from = exact((math.floor(tonumber(first[2]) / 2 ^ 42) + 1) * 2 ^ 42)
    end
  end
  return found
end

local function stats(queue)
  local figures, ends = {}, 0
  local values = call('HGETALL', P .. 'counts')
  for i = 1, #values, 2 do
    local colon = string.find(values[i], ':', 1, true)
    local status, name = string.sub(values[i], 1, colon - 1), string.sub(values[i], colon + 1)
    if not queue or queue == name then
      figures[status] = (figures[status] or 0) + tonumber(values[i + 1])
    end
  end
  local slot = math.floor(now / 5)
  for past = 0, 11 do
    local key = P .. 'rate:' .. (slot - past)
    if queue then
      ends = ends + (tonumber(call('HGET', key, queue)) or 0)
    else
      for _, value in ipairs(call('HVALS', key)) do ends = ends + tonumber(value) end
    end
  end
  local workers = call('ZCOUNT', P .. 'workers', '(' .. exact(now), '+inf')
  return {figures, workers, oldest(queue), ends, now}
end

if what == 'get' then
  tell(meta[4])
  answer = {numbers}
elseif what == 'list' then
  local below = list(meta[4], meta[5], meta[6])
  answer = {numbers, below}
elseif what == 'stats' then
  answer = stats(meta[4])
elseif what == 'queues' then
  local names, paused = {}, {}
  for queue, is in pairs(queues()) do
    add(names, #queue)
    add(paused, is)
    add(strings, queue)
  end
  answer = {names, paused}
elseif what == 'tick' then
  answer = {tonumber(call('HGET', P .. 'ticks', meta[4])) or false}
else
  answer = {now}
end
return told(answer)
