-- Set the inbox read. A: user, before, category, at, cancels by default, categories of the opposite.
-- Returns how many there were.
local user, before, category, at = A[1], A[2], A[3], A[4]
local other, marked = {}, 0
for _, name in ipairs(A[6]) do other[name] = true end
for _, id in ipairs(call('ZRANGE', P .. 'unread:' .. user, 0, -1)) do
  local note = whole(P .. 'n:' .. id, {'created_at', 'category'})
  local fits = not before or tonumber(note.created_at) < tonumber(before)
  if fits and (not category or note.category == category) then
    marked = marked + 1
    call('HSET', P .. 'n:' .. id, 'read_at', at)
    call('ZREM', P .. 'unread:' .. user, id)
    call('ZREM', P .. 'fresh', id)
    call('ZADD', P .. 'done', at, id)
    if A[5] ~= (other[note.category or ''] or false) then cancel(id, at) end
  end
end
if marked > 0 then tell(user, number(user), 'all_read', at, nil, category, before) end
return marked
