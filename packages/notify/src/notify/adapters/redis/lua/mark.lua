-- Set a notification read, archived or deleted. A: user, id, kind, at, whether to cancel.
-- Returns -1 if the user has no such one, else whether anything changed.
local user, id, kind, at = A[1], A[2], A[3], A[4]
local note = whole(P .. 'n:' .. id, {'user_id', 'seq', 'read_at', 'archived_at'})
if note.user_id ~= user then return -1 end
local changed = kind == 'deleted' or not note[kind .. '_at']
local seq = changed and note.seq and number(user)
if A[5] then cancel(id, at) end
if kind == 'deleted' then
  forget(id, false)
elseif changed then
  call('HSET', P .. 'n:' .. id, kind .. '_at', at)
  call('ZREM', P .. 'unread:' .. user, id)
  call('ZREM', P .. 'fresh', id)
  -- retention counts from the reading; from the archiving where it was never read
  call('ZADD', P .. 'done', kind == 'read' and at or note.read_at or at, id)
end
if seq then tell(user, seq, kind, at, id) end
return changed and 1 or 0
