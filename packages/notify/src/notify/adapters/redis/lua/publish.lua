-- A: at, verdict of an in-app delivery, its notification. Returns whether it was held.
if not settle(A[2], A[1]) then return 0 end
show(A[3], call('HGET', P .. 'n:' .. A[3], 'user_id'), A[1])
return 1
