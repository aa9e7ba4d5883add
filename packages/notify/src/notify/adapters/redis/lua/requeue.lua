-- A: at, ids, statuses. Makes those that are in one of them pending; returns how many.
local wanted, done = {}, 0
for _, status in ipairs(A[3]) do wanted[status] = true end
for _, id in ipairs(A[2]) do
  local d = delivery(id)
  if d.status and wanted[d.status] then
    turn(id, d, 'pending', A[1])
    call('HSET', P .. 'd:' .. id, 'attempts', 0, 'due_at', A[1], 'reason', 'replayed')
    put(id, d, A[1])
    done = done + 1
  end
end
return done
