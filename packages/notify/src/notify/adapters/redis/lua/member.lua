-- A: topic, user, whether they are to be a member. Returns whether that changed anything.
local topic, user = A[1], A[2]
if A[3] then
  call('SADD', P .. 'topics:' .. user, topic)
  return call('ZADD', P .. 'topic:' .. topic, 0, user)
end
call('SREM', P .. 'topics:' .. user, topic)
return call('ZREM', P .. 'topic:' .. topic, user)
