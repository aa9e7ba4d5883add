-- Delete an operation with its descendants, and take it out of its ancestors' sums. meta: the id.
-- The answer: the ids.
local first = call('HMGET', P .. 'o:' .. meta[1], 's', 'w', 'u', 'up', 'ua')
if not first[1] then return told({}) end
local ancestors = {}
for id in string.gmatch(first[4] or '', '[^\n]+') do ancestors[#ancestors + 1] = id end
local adds = {kw = -first[2], kt = -1}
if FINAL[first[1]] then adds[FINAL[first[1]]] = -1 end
climbed(climb(ancestors, adds, -first[2] * first[3], first[5]))
local gone, place = {meta[1]}, 1
while gone[place] do
  local id = gone[place]
  for _, child in ipairs(call('ZRANGE', P .. 'of:' .. id, 0, -1)) do gone[#gone + 1] = child end
  local found = call('HMGET', P .. 'o:' .. id, 's', 'us', 'pa', 'ki')
  for _, index in ipairs({'all', 'stale', 'done', 'bad'}) do call('ZREM', P .. index, id) end
  if found[1] then call('ZREM', P .. 'is:' .. found[1], id) end
  if found[2] then call('ZREM', P .. 'user:' .. found[2], id) end
  if found[3] then call('ZREM', P .. 'of:' .. found[3], id) end
  if found[4] then call('ZREM', P .. 'kind:' .. found[4], id) end
  call('DEL', P .. 'o:' .. id, P .. 's:' .. id, P .. 'of:' .. id)
  rung[#rung + 1] = id
  place = place + 1
end
return told(gone)
