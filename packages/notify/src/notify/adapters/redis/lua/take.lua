-- A: user, name, limit, window, now. Returns when the window began if it is full, else nothing.
local key, now, window = P .. 'quota:' .. A[1], tonumber(A[5]), tonumber(A[4])
local held = call('HGET', key, A[2])
local since, used = A[5], 0
if held then
  local row = cjson.decode(held)
  local began = tonumber(row[1])
  if now - window < began and began <= now then since, used = row[1], row[2] end
end
if used >= A[3] then return since end
call('HSET', key, A[2], cjson.encode({since, used + 1}))
return false
