-- A: id, history before, status, reason, history, at. Changes an ended delivery that is as it was.
local d, key = delivery(A[1]), P .. 'd:' .. A[1]
if not d.status or OPEN[d.status] or call('HGET', key, 'history') ~= A[2] then return 0 end
turn(A[1], d, A[3], A[6])
call('HSET', key, 'history', A[5])
if A[4] then call('HSET', key, 'reason', A[4]) else call('HDEL', key, 'reason') end
return 1
