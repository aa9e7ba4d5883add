-- A: user. Removes all that is kept of them; returns how many notifications there were.
local user = A[1]
local notes = call('SMEMBERS', P .. 'notes:' .. user)
for _, id in ipairs(notes) do forget(id, true) end
for _, text in ipairs(call('ZRANGE', P .. 'events:' .. user, 0, -1)) do
  -- of notifications that were deleted before
  local note = cjson.decode(text)[5]
  if note ~= cjson.null then call('DEL', P .. 'told:' .. note) end
end
for _, topic in ipairs(call('SMEMBERS', P .. 'topics:' .. user)) do
  call('ZREM', P .. 'topic:' .. topic, user)
end
for _, name in ipairs({'box:', 'unread:', 'seq:', 'events:', 'preferences:', 'keys:', 'notes:',
    'topics:', 'quota:'}) do
  call('DEL', P .. name .. user)
end
return #notes
