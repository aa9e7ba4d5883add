-- A: user, preferences, preferences before. Stores them if they are as they were.
local key = P .. 'preferences:' .. A[1]
if call('GET', key) ~= (A[3] or false) then return 0 end
call('SET', key, A[2])
return 1
