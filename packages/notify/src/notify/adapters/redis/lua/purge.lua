-- A: read before, unread before, limit. Returns how many were removed.
local removed = 0

local function is_open(note)
  for _, id in ipairs(call('LRANGE', P .. 'of:' .. note, 0, -1)) do
    if OPEN[call('HGET', P .. 'd:' .. id, 'status')] then return true end
  end
  return false
end

local function sweep(key, before)
  local skipped = 0
  while before and removed < A[3] do
    local id = call('ZRANGEBYSCORE', P .. key, '-inf', '(' .. before, 'LIMIT', skipped, 1)[1]
    if not id then return end
    if is_open(id) then
      skipped = skipped + 1
    else
      forget(id, true)
      removed = removed + 1
    end
  end
end

sweep('done', A[1])
sweep('fresh', A[2])
return removed
